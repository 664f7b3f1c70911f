// SPDX-License-Identifier: Apache-2.0
// The file of the keys of run tokens from hostile bytes: refused, or written again as it was.
#include "base/check.h"
#include "control/run_token_keys.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace gatehouse;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto keys = control::parse_run_token_keys(bytes);
  if (keys) CHECK(control::run_token_keys_bytes(*keys).open(Purpose::kCompare) == bytes);
  return 0;
}
