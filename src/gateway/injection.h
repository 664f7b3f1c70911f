// SPDX-License-Identifier: Apache-2.0
// The one place where a credential's value meets a request: in the place of its placeholder.
#pragma once

#include <string_view>

#include "gateway/exchange.h"

namespace gatehouse::gateway {

// The field that goes upstream instead of `original`, which is the agent's value of it: the
// placeholder alone, with text around it, or inside of a Basic credential (RFC 7617), as git and
// curl -u send it. Errors: kLeaseRefused (the value is none that a header may hold), kDenied.
[[nodiscard]] Result<SecretField> credential_field(const Leased& leased, std::string_view original);

}  // namespace gatehouse::gateway
