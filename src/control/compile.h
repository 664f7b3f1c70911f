// SPDX-License-Identifier: Apache-2.0
// From the state in force to what the other roles are told of it. Pure; the same state gives the
// same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/store.h"
#include "ipc/control_vault.h"
#include "ipc/snapshot.h"
#include "ipc/vault_courier.h"

namespace gatehouse::control {

// What the gateway rules by.
[[nodiscard]] ipc::Snapshot compiled_snapshot(const State& state, std::uint64_t generation);

// What the vault must know before it holds a credential: each service that has one.
[[nodiscard]] std::vector<ipc::PublishService> compiled_services(const State& state);
// For each tenant, also those without any, the hosts whose TLS is intercepted.
[[nodiscard]] std::vector<ipc::PublishInterceptable> compiled_interceptable(const State& state);
// Where the courier may post: the token and revocation endpoints of all services.
[[nodiscard]] ipc::PublishEndpoints compiled_endpoints(const State& state);

// The services with a credential that the agent's rules name: what the vault may lease to its Runs.
[[nodiscard]] std::vector<std::string> leasable_services(const State& state, const Agent& agent);

}  // namespace gatehouse::control
