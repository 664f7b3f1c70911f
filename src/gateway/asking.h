// SPDX-License-Identifier: Apache-2.0
// Asking: the half of RELAY that ends with the answer's head: the request to the upstream, as often
// as it may go, and of a model route to one target after the other.
#pragma once

#include "gateway/relaying.h"

namespace gatehouse::gateway {

// The head of the answer that the agent gets: of a model route that of the first target which has
// one, or the last failure that there is. `of.upstream` has the rest of it.
[[nodiscard]] net::Task<Result<UpstreamExchange::Head>> asked(Relaying& of);

}  // namespace gatehouse::gateway
