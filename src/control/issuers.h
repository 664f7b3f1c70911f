// SPDX-License-Identifier: Apache-2.0
// The keys of the issuers that tenants trust (OpenID Connect Discovery 1.0, RFC 7517), fetched by
// the courier and kept for a while. Of control's thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "control/control.h"
#include "wire/jwt.h"

namespace gatehouse::control {

// Where the issuer's key set is, by what it says of itself (OpenID Connect Discovery 1.0 section
// 4.3). Errors: kUpstream (no JSON object, or another issuer's).
[[nodiscard]] Result<std::string> parse_discovery(const Issuer& issuer, std::string_view document);

class IssuerKeys {
 public:
  static constexpr Nanos kFreshFor = std::chrono::minutes(10);
  // After that time keys that could not be fetched anew are good no more.
  static constexpr Nanos kGoodFor = std::chrono::hours(1);
  static constexpr Nanos kPause = std::chrono::seconds(10);  // between two fetches of an issuer's

  IssuerKeys(net::Loop& loop, Control& control) : loop_(loop), control_(control) {}

  // That the issuer signed this token and that it counts now. A key that is not known has the keys
  // fetched again, for issuers change them. Errors: kDenied; kUnavailable when the issuer's keys
  // cannot be had, kUpstream when what it says of itself is wrong.
  [[nodiscard]] net::Task<Result<void>> verify(Issuer issuer, wire::Jwt token);

 private:
  struct Known {
    std::vector<wire::Jwk> keys;
    std::optional<Instant> fetched;
    std::optional<Instant> tried;
  };
  net::Task<Result<void>> refresh(Issuer issuer);
  net::Task<Result<std::string>> document(Issuer issuer, std::string url);

  net::Loop& loop_;
  Control& control_;
  std::map<std::string, Known> known_;  // by all that an issuer is found by
};

}  // namespace gatehouse::control
