// SPDX-License-Identifier: Apache-2.0
// Whom a token of an issuer's means in a tenant: a user, by an ID token of a login (OpenID Connect
// Core 1.0 section 3.1.3.7), or a service account, by any token with its audience and subject.
#pragma once

#include <string>
#include <string_view>

#include "control/issuers.h"
#include "control/store.h"

namespace gatehouse::control {

struct SignIn {
  std::string tenant;
  std::string token;
  std::string nonce;  // that the login was begun with, "" for none
};

inline constexpr Nanos kUserSession = std::chrono::hours(8);
inline constexpr Nanos kAccountSession = std::chrono::hours(1);

// The session, but for its token: never longer than above, and an account's not past its token.
// Errors: kUnauthenticated for a token that is not good here, whatever is wrong with it; kDenied
// for one that is good and means nobody in this tenant; kUnavailable or kUpstream, when it is the
// issuer that fails.
[[nodiscard]] net::Task<Result<Session>> session_for(IssuerKeys& keys, SignIn sign_in, State state,
                                                     WallTime now);

}  // namespace gatehouse::control
