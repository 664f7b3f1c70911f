// SPDX-License-Identifier: Apache-2.0
// What is different between two states, object by object, for the record. Pure.
#pragma once

#include <string>
#include <vector>

#include "control/store.h"

namespace gatehouse::control {

struct Change {
  std::string act;  // "create", "set" or "remove"
  std::string tenant;
  std::string object;  // "user alice"
  std::string before;  // specs as they are put on record; "" for none
  std::string after;
  friend bool operator==(const Change&, const Change&) = default;
};

// In the order of kinds, tenants and names.
[[nodiscard]] std::vector<Change> changes_between(const State& before, const State& after);

}  // namespace gatehouse::control
