// SPDX-License-Identifier: Apache-2.0
// How a request's body gets on record. What a conversation said before is named, what is new is
// hashed and stored; a body that is no conversation's, or a small one, is stored as it is.
#pragma once

#include <vector>

#include "gateway/conversations.h"
#include "gateway/exchange.h"

namespace gatehouse::gateway {

struct StoredRequest {
  BodyRef about;
  std::vector<KnownPart> parts;  // for Conversations::keep; none of a body that is whole
};

// `of` has a body. Errors: kAuditUnavailable.
[[nodiscard]] net::Task<Result<StoredRequest>> store_request(const Exchange& of, Deadline deadline);

}  // namespace gatehouse::gateway
