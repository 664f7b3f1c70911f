// SPDX-License-Identifier: Apache-2.0
// The environment of a Run: the agent's own variables and those that were asked for, with
// placeholders where credentials would be. Pure.
#pragma once

#include <string>
#include <vector>

#include "control/store.h"
#include "ipc/placeholder.h"

namespace gatehouse::control {

// NAME=VALUE each, sorted. Errors: kInvalid for what was asked in another form; kNotFound with the
// connection that is missing and what makes it.
[[nodiscard]] Result<std::vector<std::string>> environment_of(
    const State& state, const Run& run, const Agent& agent,
    const std::vector<ipc::Placeholder>& placeholders, const std::vector<std::string>& asked);

}  // namespace gatehouse::control
