// SPDX-License-Identifier: Apache-2.0
// Each role of the simulated house, of the parts that bin/ makes its process of.
#pragma once

#include <memory>
#include <string>

#include "sim/house.h"

namespace gatehouse::sim {

// What a role finds on the machine that it starts on.
struct Machine {
  net::SimLoop& loop;
  net::SimFileSystem* disk = nullptr;  // null for roles without one
  std::string boot;
};

// `name` is "audit", "vault", "courier", "control", "gateway" or "gateway.1". Errors: what would
// keep the process from starting.
[[nodiscard]] Result<std::unique_ptr<Actor>> make_actor(const std::string& name,
                                                        const Machine& machine);

}  // namespace gatehouse::sim
