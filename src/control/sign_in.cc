// SPDX-License-Identifier: Apache-2.0
#include "control/sign_in.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"

namespace gatehouse::control {
namespace {

using net::Task;

constexpr std::size_t kClaimsMost = 500;  // groups of one person
constexpr std::size_t kClaimBytesMost = 256;

bool has(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

Failure not_good(const Error& why) {
  log_warning("a token was refused", {{"why", why.message()}});
  return failure(Error::kUnauthenticated, "this token is not good here: " + why.message());
}

// Whether it is an ID token for that client: an access token (RFC 9068) is none, and with several
// audiences the client must be the one that it was issued to.
bool is_login(const wire::Jwt& token, const Issuer& issuer, std::string_view nonce) {
  if (issuer.client_id.empty() || !has(token.audience, issuer.client_id)) return false;
  if (token.type != "" && token.type != "jwt") return false;
  if (token.audience.size() > 1 && token.authorized_party != issuer.client_id) return false;
  if (!token.authorized_party.empty() && token.authorized_party != issuer.client_id) return false;
  return token.nonce == nonce;
}

// Of the groups claim what a Group can name.
std::vector<std::string> groups_claimed(const wire::Jwt& token, const Issuer& issuer) {
  std::vector<std::string> claims;
  if (issuer.groups_claim.empty()) return claims;
  for (std::string& claim : token.strings(issuer.groups_claim)) {
    if (claim.empty() || claim.size() > kClaimBytesMost || claim.contains('\n')) continue;
    if (claims.size() < kClaimsMost) claims.push_back(std::move(claim));
  }
  return claims;
}

Result<Session> user_session(const State& state, const Issuer& issuer, const wire::Jwt& token) {
  for (const User* user : state.all<User>()) {
    if (user->tenant != issuer.tenant || !user->login || user->login->issuer != issuer.name
        || user->login->subject != token.subject) {
      continue;
    }
    Session session;
    session.kind = Kind::kUser;
    session.name = user->name;
    session.claims = groups_claimed(token, issuer);
    return session;
  }
  return failure(Error::kNotFound, "no user");
}

Result<Session> account_session(const State& state, const Issuer& issuer, const wire::Jwt& token) {
  for (const Account* account : state.all<Account>()) {
    if (account->tenant != issuer.tenant || account->issuer != issuer.name
        || account->subject != token.subject || !has(token.audience, account->audience)) {
      continue;
    }
    Session session;
    session.kind = Kind::kAccount;
    session.name = account->name;
    return session;
  }
  return failure(Error::kNotFound, "no account");
}

WallTime end_of(const Session& session, const wire::Jwt& token, WallTime now) {
  const bool is_user = session.kind == Kind::kUser;
  const WallTime most(now.unix_nanos() + Nanos(is_user ? kUserSession : kAccountSession).count());
  if (is_user) return most;
  // check_claims made sure that there is one; in seconds, for it may be any number.
  if (*token.expires >= most.unix_seconds()) return most;
  return WallTime(*token.expires * 1'000'000'000);
}

}  // namespace

Task<Result<Session>> session_for(IssuerKeys& keys, SignIn sign_in, State state, WallTime now) {
  const auto token = wire::parse_jwt(sign_in.token);
  if (!token) co_return not_good(token.error());
  const Issuer* issuer = nullptr;
  for (const Issuer* candidate : state.all<Issuer>()) {
    if (candidate->tenant == sign_in.tenant && candidate->url == token->issuer) issuer = candidate;
  }
  if (issuer == nullptr)
    co_return not_good({Error::kDenied, "it is of no issuer of this tenant's"});
  const auto verified = co_await keys.verify(*issuer, *token);
  const bool is_theirs = !verified && verified.error() == Error::kDenied;
  if (!verified && !is_theirs) co_return Failure(verified.error());
  if (!verified) co_return not_good(verified.error());
  Result<Session> session = failure(Error::kNotFound, "nobody");
  if (is_login(*token, *issuer, sign_in.nonce)) session = user_session(state, *issuer, *token);
  if (!session) session = account_session(state, *issuer, *token);
  if (!session) {
    co_return failure(Error::kDenied,
                      fmt::format("issuer {} knows the subject {}, and it means nobody in this "
                                  "tenant: neither a user by a login, nor an account by this "
                                  "audience",
                                  issuer->name, printable(token->subject)));
  }
  session->tenant = issuer->tenant;
  session->issuer = issuer->name;
  session->began = now;
  session->ends = end_of(*session, *token, now);
  co_return session;
}

}  // namespace gatehouse::control
