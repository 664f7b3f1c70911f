// SPDX-License-Identifier: Apache-2.0
// One connection of an agent: HTTP/1.1 on it, one Exchange after another, CONNECT and interception
// included.
#pragma once

#include "gateway/gate.h"

namespace gatehouse::gateway {

[[nodiscard]] net::Task<void> serve_connection(Gate& gate, Door& door, Listed listed,
                                               std::unique_ptr<Client> client, Entrance entrance);

}  // namespace gatehouse::gateway
