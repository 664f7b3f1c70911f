// SPDX-License-Identifier: Apache-2.0
#include "control/issuers.h"

#include <fmt/format.h>

#include "base/log.h"
#include "control/token.h"
#include "ipc/control_courier.h"
#include "wire/json.h"
#include "wire/signature.h"
#include "wire/url.h"

namespace gatehouse::control {
namespace {

using net::Task;

constexpr std::size_t kIssuersMost = 1000;

std::string key_of(const Issuer& issuer) {
  return fmt::format("{}\n{}\n{}\n{}", issuer.tenant, issuer.url, issuer.allow_private,
                     issuer.ca_pem);
}

// OpenID Connect Discovery 1.0 section 4.1: a slash at the end of the issuer is left out.
std::string discovery_of(const Issuer& issuer) {
  std::string url = issuer.url;
  if (url.ends_with('/')) url.pop_back();
  return url + "/.well-known/openid-configuration";
}

}  // namespace

Result<std::string> parse_discovery(const Issuer& issuer, std::string_view document) {
  const auto configuration = wire::scan_object(document, wire::Duplicates::kRejectEverywhere);
  if (!configuration) {
    return failure(Error::kUpstream,
                   fmt::format("what issuer {} says of itself is no JSON object", issuer.name));
  }
  if (configuration->string("issuer") != issuer.url) {
    return failure(Error::kUpstream,
                   fmt::format("the issuer at {} calls itself something else; url must be "
                               "exactly its \"issuer\"",
                               issuer.url));
  }
  return configuration->string("jwks_uri").value_or("");
}

Task<Result<void>> IssuerKeys::verify(Issuer issuer, wire::Jwt token) {
  CO_TRY(check_claims(token, issuer.url, loop_.wall()));
  const std::string key = key_of(issuer);
  if (known_.size() >= kIssuersMost && !known_.contains(key)) known_.clear();
  const auto age = [&] {
    const auto& fetched = known_[key].fetched;
    return fetched ? loop_.now() - *fetched : Nanos::max();
  };
  if (age() > kFreshFor) {
    const auto refreshed = co_await refresh(issuer);
    if (!refreshed && age() > kGoodFor) co_return Failure(refreshed.error());
  }
  Result<void> verified = wire::verify_signature(token, known_[key].keys);
  if (verified || verified.error() != Error::kNotFound) co_return verified;
  CO_TRY(co_await refresh(issuer));
  verified = wire::verify_signature(token, known_[key].keys);
  if (!verified) co_return failure(Error::kDenied, verified.error().message());
  co_return verified;
}

// However many ask, an issuer is asked once in a while.
Task<Result<void>> IssuerKeys::refresh(Issuer issuer) {
  const std::string key = key_of(issuer);
  const auto& tried = known_[key].tried;
  if (tried && loop_.now() - *tried < kPause) {
    co_return failure(Error::kUnavailable,
                      fmt::format("the keys of issuer {} were asked for a moment ago; try again in "
                                  "{} seconds",
                                  issuer.name, kPause / std::chrono::seconds(1)));
  }
  known_[key].tried = loop_.now();
  const std::string discovered = CO_TRY(co_await document(issuer, discovery_of(issuer)));
  const std::string jwks_uri = CO_TRY(parse_discovery(issuer, discovered));
  const std::string set = CO_TRY(co_await document(issuer, jwks_uri));
  auto keys = wire::parse_jwks(set);
  if (!keys) co_return failure(Error::kUpstream, keys.error().message());
  known_[key].keys = *std::move(keys);
  known_[key].fetched = loop_.now();
  log_info("the keys of an issuer are there",
           {{"tenant", issuer.tenant}, {"name", issuer.name}, {"keys", known_[key].keys.size()}});
  co_return Result<void>();
}

Task<Result<std::string>> IssuerKeys::document(Issuer issuer, std::string url) {
  ipc::Fetch fetch{{std::move(url), issuer.ca_pem, issuer.allow_private}};
  const auto fetched = co_await control_.call("courier", std::move(fetch));
  if (fetched && fetched->status == 200) co_return fetched->body;
  const std::string why =
      fetched ? fmt::format("status {}", fetched->status) : fetched.error().message();
  log_warning("an issuer's document cannot be had",
              {{"tenant", issuer.tenant}, {"name", issuer.name}, {"why", why}});
  co_return failure(Error::kUnavailable,
                    fmt::format("the keys of issuer {} cannot be had now; the gatehouse's log says "
                                "why",
                                issuer.name));
}

}  // namespace gatehouse::control
