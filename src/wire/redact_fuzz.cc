// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "base/encoding.h"
#include "wire/redact.h"

static std::string redacted(std::string_view value, std::string_view text, std::size_t step) {
  const auto forms = std::make_shared<gatehouse::wire::RedactionForms>();
  std::string out;
  if (!forms->add(gatehouse::Secret(value))) return out;
  gatehouse::wire::Redactor redactor(forms, "#");
  for (std::size_t at = 0; at < text.size(); at += step) redactor.feed(text.substr(at, step), out);
  redactor.finish(out);
  return out;
}

// The first byte is the step, the next eight are the value.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 9) return 0;
  const std::string_view all = gatehouse::text_of({data, size});
  const std::string_view value = all.substr(1, 8);
  const std::string_view text = all.substr(9);
  const std::string whole = redacted(value, text, size);
  if (whole != redacted(value, text, 1 + data[0] % 16U)) std::abort();
  if (value.find('#') == std::string_view::npos && whole.contains(value)) std::abort();
  return 0;
}
