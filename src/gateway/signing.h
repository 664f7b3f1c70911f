// SPDX-License-Identifier: Apache-2.0
// What of a request is signed where the vault signs it (AWS Signature Version 4), and how a request
// is made ready for that. The vault gets the canonical request, never the body.
#pragma once

#include <string>

#include "gateway/exchange.h"

namespace gatehouse::gateway {

// The value of `host` for where a request is sent.
[[nodiscard]] std::string host_field(const Destination& to);

// The canonical request that goes upstream with that date. Errors: kUnsupported when the request's
// body is not here as a whole.
[[nodiscard]] Result<std::string> canonical_request(const Ruled& ruled, const std::string& date);

// Takes what the agent's own signature left in the headers, and puts the date in.
void make_ready_to_sign(wire::Headers& headers, const std::string& date);

}  // namespace gatehouse::gateway
