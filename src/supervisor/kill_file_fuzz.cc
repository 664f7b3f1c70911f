// SPDX-License-Identifier: Apache-2.0
// A kill file from hostile bytes: refused, or written again to the same state.
#include <cstdlib>

#include "supervisor/kill_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse::supervisor;
  const auto state = parse_kill_file({reinterpret_cast<const char*>(data), size});
  if (!state) return 0;
  const auto again = parse_kill_file(kill_file_text(*state));
  if (!again || kill_file_text(*again) != kill_file_text(*state)) std::abort();
  return 0;
}
