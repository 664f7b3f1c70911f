// SPDX-License-Identifier: Apache-2.0
// The Door's DNS: A and AAAA of names the Run may reach get synthetic addresses; any other name is
// NXDOMAIN, any other type is empty, each with an Entry, rate-limited and counted. No query leaves
// the machine.
#pragma once

#include "gateway/gate.h"

namespace gatehouse::gateway {

[[nodiscard]] net::Task<void> answer_names(Gate& gate, Door& door);

}  // namespace gatehouse::gateway
