// SPDX-License-Identifier: Apache-2.0
// Two grades of assertion. CHECK: our own invariant, always on, ends the process. BUG_IF: counts
// and logs in release, aborts in tests. Neither may depend on what a peer can send.
#pragma once

#include <source_location>
#include <string_view>

namespace gatehouse {

[[noreturn, gnu::cold]] void check_failed(std::string_view condition, std::source_location where);

// Returns true so that `if (BUG_IF(x)) return ...;` reads well. Aborts when GATEHOUSE_TESTING is
// set in the environment.
[[gnu::cold]] bool bug_found(std::string_view condition, std::source_location where);

// How many BUG_IF conditions have held since the process began.
unsigned long bugs_found();

}  // namespace gatehouse

#define CHECK(condition)        \
  (static_cast<bool>(condition) \
       ? static_cast<void>(0)   \
       : ::gatehouse::check_failed(#condition, std::source_location::current()))
#define BUG_IF(condition)       \
  (static_cast<bool>(condition) \
   && ::gatehouse::bug_found(#condition, std::source_location::current()))
