// SPDX-License-Identifier: Apache-2.0
// A placeholder is found in whatever a header or a target holds, as it is and in a Basic credential
// or percent-encoded; any bytes around it change nothing.
#include "base/check.h"
#include "base/encoding.h"
#include "gateway/door.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse;
  const std::string_view text = text_of({data, size});
  const ipc::Placeholder placeholder{"mail", "ghph_AAAAAAAAAAAAAAAAAAAAAA"};
  (void)gateway::holds(text, placeholder);
  const std::size_t half = size / 2;
  const std::string inside =
      std::string(text.substr(0, half)) + placeholder.text + std::string(text.substr(half));
  CHECK(gateway::holds(inside, placeholder));
  CHECK(gateway::holds("Basic " + to_base64(inside), placeholder));
  CHECK(gateway::holds(percent_encoded(inside), placeholder));
  const ipc::Placeholder other{"mail", "without-the-prefix"};
  CHECK(gateway::holds(std::string(text) + other.text, other));
  return 0;
}
