// SPDX-License-Identifier: Apache-2.0
// Control tells the gateway what is in force, and asks every role what it has counted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/message.h"

namespace gatehouse::ipc {

// What a process has counted since it began, and what it has now, by name. Control -> each role
// and the supervisor; those of the gateways, added up, are forwarded for people.
struct Counter {
  std::string name;
  std::uint64_t value = 0;
  template <class F>
  void fields(F& f) {
    f(name, value);
  }
};
// Whether a counter may be shown by that name: a captured role could put anything there. Visible
// ASCII, at most 128 of it.
[[nodiscard]] inline bool is_counter_name(std::string_view name) {
  if (name.empty() || name.size() > 128) return false;
  for (const char c : name) {
    if (c <= ' ' || c > '~') return false;
  }
  return true;
}
struct CounterList {
  static constexpr MessageType kType = 0x0715;
  std::vector<Counter> counters;
  template <class F>
  void fields(F& f) {
    f(counters);
  }
};
struct GetCounters {
  static constexpr MessageType kType = 0x0705;
  using Reply = CounterList;
  template <class F>
  void fields(F&) {}
};

// Control -> gateway, with one sealed memfd that holds ipc::Snapshot encoded.
struct SnapshotReady {
  static constexpr MessageType kType = 0x0801;
  using Reply = Done;
  std::uint64_t generation = 0;
  template <class F>
  void fields(F& f) {
    f(generation);
  }
};

}  // namespace gatehouse::ipc
