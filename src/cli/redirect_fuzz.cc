// SPDX-License-Identifier: Apache-2.0
// Whatever a browser brings back to the loopback port: only what carries this request's state is
// taken, and it holds a code.
#include <cstdint>

#include "base/check.h"
#include "cli/redirect.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse;
  const std::string_view target(reinterpret_cast<const char*>(data), size);
  const auto redirect = cli::parse_redirect(target, "s5");
  if (!redirect) return 0;
  CHECK(target.starts_with("/callback?") && target.contains("state="));
  CHECK(!redirect->code.empty());
  CHECK(!cli::parse_redirect(target, "s6") && !cli::parse_redirect(target, ""));
  return 0;
}
