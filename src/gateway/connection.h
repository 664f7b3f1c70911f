// SPDX-License-Identifier: Apache-2.0
// One connection of an agent: HTTP/1.1 on it, one Exchange after another, CONNECT and interception
// included.
#pragma once

#include "gateway/exchange.h"
#include "gateway/gate.h"
#include "gateway/tunnel.h"

namespace gatehouse::gateway {

[[nodiscard]] net::Task<void> serve_connection(Gate& gate, Door& door, Listed listed,
                                               std::unique_ptr<Client> client, Entrance entrance);
// Where a request is meant to go, from how it came in. The three names that a request can carry
// (the address it was captured on the way to, the TLS name, its Host) must agree. Errors: kInvalid,
// kUnsupported.
[[nodiscard]] Result<Decoded> decode(const Door& door, const Place& place, wire::RequestHead head);

// Counts what cannot be read as a request and puts it on record; in which dialect it is told.
[[nodiscard]] ipc::ServiceKind record_malformed(Gate& gate, const Door& door, const Place& place,
                                                const Error& error);

}  // namespace gatehouse::gateway
