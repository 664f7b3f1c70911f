// SPDX-License-Identifier: Apache-2.0
// What each role should be able to do, and nothing else: what `gatehouse doctor` holds against what
// they can.
#pragma once

#include <string_view>

#include "host/footing.h"
#include "ipc/probe.h"

namespace gatehouse::supervisor {

[[nodiscard]] bool should_be_possible(std::string_view role, ipc::Ability ability, host::Mode mode);

}  // namespace gatehouse::supervisor
