// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "base/encoding.h"
#include "wire/json.h"
#include "wire/llm_openai.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse::wire;
  const std::string_view text = gatehouse::text_of({data, size});
  (void)OpenAiRequest::parse(text);
  (void)OpenAiAnswer::parse(text);
  OpenAiStream stream;
  (void)stream.feed(text);
  if (const auto spliced = with_include_usage(text); spliced && !scan_object(*spliced))
    std::abort();
  return 0;
}
