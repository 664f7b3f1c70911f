// SPDX-License-Identifier: Apache-2.0
// Run token: what an agent outside of a sandbox shows a gateway in the place of a Door. A JSON Web
// Token (RFC 7519) that control signs with Ed25519, good for minutes and only together with the key
// of one client certificate (`cnf` with `x5t#S256`, RFC 8705 section 3.1); its names are those of
// RFC 9068. Whoever has the token and not the key has nothing.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "wire/jwt.h"

namespace gatehouse::wire {

inline constexpr std::size_t kRunTokenMost = 2048;  // bytes
inline constexpr std::size_t kThumbprintBytes = 32;
inline constexpr std::string_view kRunTokenIssuer = "urn:gatehouse:control";
inline constexpr std::string_view kRunTokenAudience = "urn:gatehouse:gateway";

// `x5t#S256`: the SHA-256 of a certificate, 32 bytes, in base64url. Errors: kInvalid, also for
// another spelling of the same bytes.
[[nodiscard]] Result<std::string> parse_thumbprint(std::string_view text);

struct RunToken {
  RunId run = RunId::from_bytes({});  // `sub`
  std::string tenant;                 // `tid`
  std::string thumbprint;             // SHA-256 of the client's certificate, 32 bytes
  std::string id;                     // `jti`
  std::int64_t issued_unix_s = 0;     // good from then
  std::int64_t expires_unix_s = 0;    // and before then
};

// Signs with the key of that seed. Errors: kCorrupt for a seed that is none.
[[nodiscard]] Result<Secret> signed_run_token(const RunToken& token, const Secret& seed);

// Why a token is refused; each is counted for itself.
enum class RunTokenFault : std::uint8_t {
  kMalformed,  // no token of this kind at all
  kSignature,  // of another algorithm, of an unknown key, or not signed by it
  kAudience,   // of another issuer or for somebody else
  kExpired,
  kNotYet,
  kOtherKey,  // the client has another certificate than the token is bound to
};
inline constexpr std::size_t kRunTokenFaults = 6;
[[nodiscard]] std::string_view label(RunTokenFault fault);  // "expired"

struct RunTokenRefusal {
  RunTokenFault fault = RunTokenFault::kMalformed;
  std::string_view why;               // in words; never with anything of the token
  std::optional<RunToken> signed_as;  // whose it is, where the signature says so
};

// `keys` are control's public ones, `thumbprint` that of the certificate which the client has shown
// that it has the key of. Nothing of a token counts before its signature does.
[[nodiscard]] std::expected<RunToken, RunTokenRefusal> verified_run_token(
    std::string_view text, const std::vector<Jwk>& keys, std::string_view thumbprint, WallTime now);

}  // namespace gatehouse::wire
