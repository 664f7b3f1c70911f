// SPDX-License-Identifier: Apache-2.0
#include "control/token.h"

namespace gatehouse::control {
namespace {

Failure denied(std::string_view why) {
  return failure(Error::kDenied, "the token " + std::string(why));
}

}  // namespace

Result<void> check_claims(const wire::Jwt& token, std::string_view issuer, WallTime now) {
  const std::int64_t skew = std::chrono::duration_cast<std::chrono::seconds>(kClockSkew).count();
  const std::int64_t seconds = now.unix_seconds();
  if (token.issuer != issuer) return denied("is of another issuer");
  if (token.subject.empty()) return denied("is of nobody: it has no sub");
  if (!token.expires) return denied("does not say when it expires");
  // Nothing is added to what the token says: it may be any number.
  if (*token.expires <= seconds - skew) return denied("has expired");
  if (token.not_before && *token.not_before > seconds + skew) return denied("is not good yet");
  if (token.issued && *token.issued > seconds + skew) return denied("was issued in the future");
  const std::int64_t age = std::chrono::duration_cast<std::chrono::seconds>(kTokenAgeMost).count();
  if (token.issued && *token.issued < seconds - age) return denied("is more than a day old");
  return {};
}

}  // namespace gatehouse::control
