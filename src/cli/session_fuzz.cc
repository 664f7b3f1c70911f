// SPDX-License-Identifier: Apache-2.0
// A file of sessions from hostile bytes: refused, or written again to the same sessions.
#include <cstdlib>

#include "cli/session.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse::cli;
  const auto found = parse_sessions({reinterpret_cast<const char*>(data), size});
  if (!found) return 0;
  const auto text = sessions_text(found->sessions);
  const auto again = parse_sessions(text);
  if (!again || again->version != 1 || sessions_text(again->sessions) != text) std::abort();
  return 0;
}
