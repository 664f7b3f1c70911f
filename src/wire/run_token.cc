// SPDX-License-Identifier: Apache-2.0
#include "wire/run_token.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "wire/json.h"
#include "wire/signature.h"

namespace gatehouse::wire {
namespace {

constexpr std::string_view kType = "at+jwt";  // RFC 9068 section 2.1
constexpr std::string_view kAlgorithm = "EdDSA";
constexpr std::string_view kConfirmation = "x5t#S256";
constexpr std::int64_t kClockStep_s = 5;  // that this machine's clock may be set back by

std::unexpected<RunTokenRefusal> refused(RunTokenFault fault, std::string_view why,
                                         std::optional<RunToken> signed_as = {}) {
  return std::unexpected(RunTokenRefusal{fault, why, std::move(signed_as)});
}

// Nothing where a claim is missing or is not what it should be.
std::optional<RunToken> claims_of(const Jwt& jwt) {
  const auto claims = scan_object(jwt.claims);
  const auto run = RunId::parse(jwt.subject);
  if (!claims || !run || !jwt.expires || !jwt.issued) return std::nullopt;
  const JsonValue* confirmation = claims->find("cnf");
  if (confirmation == nullptr || !confirmation->is(JsonType::kObject)) return std::nullopt;
  const auto inner = scan_object(confirmation->raw);
  const auto bound = inner ? inner->string(kConfirmation) : std::nullopt;
  const auto thumbprint = parse_thumbprint(bound.value_or(""));
  if (!thumbprint) return std::nullopt;
  RunToken token;
  token.run = *run;
  token.tenant = claims->string("tid").value_or("");
  token.thumbprint = *thumbprint;
  token.id = claims->string("jti").value_or("");
  token.issued_unix_s = *jwt.issued;
  token.expires_unix_s = *jwt.expires;
  if (token.tenant.empty() || token.id.empty()) return std::nullopt;
  return token;
}

}  // namespace

Result<std::string> parse_thumbprint(std::string_view text) {
  auto bytes = from_base64url(text);
  if (bytes && bytes->size() == kThumbprintBytes && to_base64url(*bytes) == text) return bytes;
  return failure(Error::kInvalid,
                 "x5t#S256 is the SHA-256 of a client certificate in base64url without padding");
}

Result<Secret> signed_run_token(const RunToken& token, const Secret& seed) {
  const std::string public_key = TRY(ed25519_public(seed));
  JsonWriter header;
  header.begin_object();
  header.key("alg").string(kAlgorithm).key("typ").string(kType);
  header.key("kid").string(ed25519_key_id(public_key)).end_object();
  JsonWriter claims;
  claims.begin_object();
  claims.key("iss").string(kRunTokenIssuer).key("aud").string(kRunTokenAudience);
  claims.key("sub").string(token.run.text()).key("tid").string(token.tenant);
  claims.key("jti").string(token.id);
  claims.key("iat").integer(token.issued_unix_s).key("nbf").integer(token.issued_unix_s);
  claims.key("exp").integer(token.expires_unix_s);
  claims.key("cnf").begin_object();
  claims.key(kConfirmation).string(to_base64url(token.thumbprint)).end_object();
  claims.end_object();
  std::string text = to_base64url(header.text()) + "." + to_base64url(claims.text());
  text += "." + to_base64url(TRY(ed25519_signature(seed, text)));
  Secret out(text);
  wipe({text.data(), text.size()});
  return out;
}

std::string_view label(RunTokenFault fault) {
  static constexpr std::array<std::string_view, kRunTokenFaults> kLabels = {
      "malformed", "signature", "audience", "expired", "not_yet", "other_key"};
  return kLabels.at(static_cast<std::size_t>(fault));
}

std::expected<RunToken, RunTokenRefusal> verified_run_token(std::string_view text,
                                                            const std::vector<Jwk>& keys,
                                                            std::string_view thumbprint,
                                                            WallTime now) {
  using enum RunTokenFault;
  if (text.size() > kRunTokenMost) return refused(kMalformed, "the run token is too long");
  const auto jwt = parse_jwt(text);
  if (!jwt || jwt->type != kType) return refused(kMalformed, "this is no run token");
  if (jwt->algorithm != kAlgorithm || jwt->key_id.empty() || !verify_signature(*jwt, keys)) {
    return refused(kSignature, "the run token is not signed by this gatehouse");
  }
  const std::optional<RunToken> token = claims_of(*jwt);
  if (!token) return refused(kMalformed, "the run token lacks a claim");
  if (jwt->issuer != kRunTokenIssuer || jwt->audience.size() != 1
      || jwt->audience.front() != kRunTokenAudience) {
    return refused(kAudience, "the run token is for somebody else", token);
  }
  if (thumbprint != token->thumbprint) {
    return refused(kOtherKey,
                   "the run token is bound to the key of another client certificate than this "
                   "connection's",
                   token);
  }
  const std::int64_t seconds = now.unix_seconds();
  if (token->expires_unix_s <= seconds) {
    return refused(kExpired, "the run token has expired; who holds its key gets another", token);
  }
  const std::int64_t from = std::max(token->issued_unix_s, jwt->not_before.value_or(0));
  if (from > seconds && from - seconds > kClockStep_s) {
    return refused(kNotYet, "the run token is not good yet", token);
  }
  return *token;
}

}  // namespace gatehouse::wire
