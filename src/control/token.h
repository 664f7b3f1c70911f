// SPDX-License-Identifier: Apache-2.0
// Whether a token is what it says: its signature by a key of its issuer's, and the claims that
// decide whether it counts here and now. Pure, but for the cryptography of OpenSSL.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "wire/jwt.h"

namespace gatehouse::control {

inline constexpr Nanos kClockSkew = std::chrono::seconds(60);
inline constexpr Nanos kTokenAgeMost = std::chrono::hours(24);  // from `iat`, whatever `exp` says

// RS256, ES256 and EdDSA (Ed25519) are allowed; an RSA key has 2048 to 8192 bits. A token that
// names a key is verified by that key; one that names none, by the only key of its algorithm.
// Errors: kNotFound when the issuer has no such key (its keys may have been changed); kDenied.
[[nodiscard]] Result<void> verify_signature(const wire::Jwt& token,
                                            const std::vector<wire::Jwk>& keys);

// `iss` is that issuer, `sub` is there, `exp` is there and not over, `nbf` and `iat` are not to
// come, all with kClockSkew. The audience is the caller's to judge. Errors: kDenied.
[[nodiscard]] Result<void> check_claims(const wire::Jwt& token, std::string_view issuer,
                                        WallTime now);

}  // namespace gatehouse::control
