// SPDX-License-Identifier: Apache-2.0
// A key's file from hostile bytes: refused, or a key that is written again and read to the same.
#include <cstdlib>

#include "base/key_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse;
  const auto found = parse_key_file(kRootKeyFormat, {reinterpret_cast<const char*>(data), size});
  if (!found) return 0;
  const Secret written = key_file_bytes(kRootKeyFormat, found->key);
  const auto again = parse_key_file(kRootKeyFormat, written.open(Purpose::kSeal));
  if (!again || !(again->key == found->key) || again->version != kRootKeyFormat.latest) {
    std::abort();
  }
  return 0;
}
