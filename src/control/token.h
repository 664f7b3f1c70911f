// SPDX-License-Identifier: Apache-2.0
// Whether a token of an issuer's counts here and now, by its claims; that it is signed by its
// issuer is wire/signature.h's to say. Pure.
#pragma once

#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "wire/jwt.h"

namespace gatehouse::control {

inline constexpr Nanos kClockSkew = std::chrono::seconds(60);
inline constexpr Nanos kTokenAgeMost = std::chrono::hours(24);  // from `iat`, whatever `exp` says

// `iss` is that issuer, `sub` is there, `exp` is there and not over, `nbf` and `iat` are not to
// come, all with kClockSkew. The audience is the caller's to judge. Errors: kDenied.
[[nodiscard]] Result<void> check_claims(const wire::Jwt& token, std::string_view issuer,
                                        WallTime now);

}  // namespace gatehouse::control
