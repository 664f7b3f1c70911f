// SPDX-License-Identifier: Apache-2.0
// The admin API's part about who asks: signing in, signing out, and who somebody is.
#include <fmt/format.h>

#include "base/encoding.h"
#include "base/secret.h"
#include "control/admin.h"
#include "control/present.h"
#include "control/sign_in.h"
#include "wire/json.h"

namespace gatehouse::control {
namespace {

constexpr std::size_t kTokenMost = 512;
// Of sessions whose end by the clock that nobody sets is known here.
constexpr std::size_t kSessionsKnownMost = 4096;
constexpr std::size_t kTokenBytes = 32;
constexpr std::string_view kTokenPrefix = "ghs_";  // so that it is known where it leaks

// The token of an Authorization header (RFC 6750 section 2.1), "" if it is something else.
std::string_view bearer_of(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size() || authorization.size() > kTokenMost) return "";
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    if ((authorization[i] | 0x20) != kScheme[i]) return "";
  }
  return authorization.substr(kScheme.size());
}

void write_strings(wire::JsonWriter& out, const std::vector<std::string>& values) {
  out.begin_array();
  for (const std::string& value : values) out.string(value);
  out.end_array();
}

Principal principal_of(const Session& session) {
  Principal who;
  const bool is_user = session.kind == Kind::kUser;
  who.type = is_user ? Principal::Type::kUser : Principal::Type::kAccount;
  who.tenant = session.tenant;
  who.name = session.name;
  who.issuer = session.issuer;
  who.claims = session.claims;
  return who;
}

Nanos between(WallTime from, WallTime to) { return Nanos(to.unix_nanos() - from.unix_nanos()); }

}  // namespace

// Whoever shows a session is its user or account, on the host too; without one, the host's owner is
// the house.
Result<Principal> Admin::identified(const ApiRequest& request) {
  Principal who;
  if (request.authorization.empty()) {
    if (!request.is_house) return who;
    who.type = Principal::Type::kHouse;
    who.uid = request.uid;
    return who;
  }
  const auto not_good = failure(Error::kUnauthenticated,
                                "this session is over, or never was; `gatehouse login` begins one");
  const std::string_view token = bearer_of(request.authorization);
  if (token.empty()) return not_good;
  const auto session = store_.session(sha256_text(token));
  if (!session && session.error() != Error::kNotFound) return Failure(session.error());
  if (!session || is_over(*session)) return not_good;
  return principal_of(*session);
}

// By the wall clock, which a restart of this process outlasts, or by the one that nobody sets,
// whichever ends it first: a clock that is set back makes no session longer.
bool Admin::is_over(const Session& session) {
  const Nanos left = between(loop_.wall(), session.ends);
  if (left <= Nanos(0)) return true;
  if (session_ends_.size() >= kSessionsKnownMost) {
    std::erase_if(session_ends_, [&](const auto& known) { return known.second <= loop_.now(); });
    if (session_ends_.size() >= kSessionsKnownMost) session_ends_.clear();
  }
  const Instant end = loop_.now() + std::min(left, between(session.began, session.ends));
  const auto known = session_ends_.try_emplace(session.digest, end).first;
  return known->second <= loop_.now();
}

Admin::Answered Admin::who_am_i(Call& call) {
  wire::JsonWriter out;
  out.begin_object();
  out.key("who").string(call.who.text()).key("tenant").string(call.who.tenant);
  out.key("name").string(call.who.name).key("roles");
  write_strings(out, roles_of(call.state, call.who));
  out.key("house").boolean(call.who.type == Principal::Type::kHouse);
  out.end_object();
  co_return json_answer(std::move(out).text());
}

// Nothing is asked of who asks this, so a tenant that is not there looks like one without logins.
Admin::Answered Admin::list_logins(Call& call) {
  const auto named = call.request.query.find("tenant");
  const auto tenants = call.state.all<Tenant>();
  std::string tenant = named == call.request.query.end() ? "" : named->second;
  if (tenant.empty() && tenants.size() == 1) tenant = tenants.front()->name;
  wire::JsonWriter out;
  out.begin_object();
  out.key("tenant").string(tenant).key("items").begin_array();
  for (const Issuer* issuer : call.state.all<Issuer>()) {
    if (issuer->tenant != tenant || issuer->client_id.empty()) continue;
    out.begin_object();
    out.key("name").string(issuer->name).key("url").string(issuer->url);
    out.key("client_id").string(issuer->client_id).key("ca").string(issuer->ca_pem);
    out.key("scopes");
    write_strings(out, issuer->scopes);
    out.end_object();
  }
  out.end_array();
  out.end_object();
  co_return json_answer(std::move(out).text());
}

Admin::Answered Admin::sign_in(Call& call) {
  const auto body = tree_of_json(call.request.body);
  if (!body) co_return failure(Error::kInvalid, "the body is not JSON: " + body.error().what);
  Problems problems;
  Section section(*body, "the body", problems);
  SignIn given;
  given.tenant = section.string("tenant", Need::kRequired).value_or("");
  given.token = section.string("token", Need::kRequired).value_or("");
  given.nonce = section.string_or("nonce", "");
  section.finish();
  if (!problems.empty()) co_return failure(Error::kInvalid, problems.front().what);
  Session session = CO_TRY(co_await session_for(keys_, given, call.state, loop_.wall()));
  call.who = principal_of(session);
  call.names["tenant"] = session.tenant;
  const Act act{"sign_in", fmt::format("session by issuer {}", session.issuer), "", "", {}, {}};
  CO_TRY(co_await control_.record(entry_of(call, act, "done")));
  const Secret random = Secret::random(kTokenBytes);
  const std::string token =
      std::string(kTokenPrefix) + to_base64url(random.open(Purpose::kTransport));
  session.digest = sha256_text(token);
  CO_TRY(store_.begin_session(session));
  wire::JsonWriter out;
  out.begin_object();
  out.key("session").string(token).key("ends").string(session.ends.text());
  out.key("who").string(call.who.text()).key("tenant").string(session.tenant);
  out.end_object();
  co_return json_answer(std::move(out).text(), 201);
}

Admin::Answered Admin::sign_out(Call& call) {
  if (call.request.authorization.empty()) {
    co_return failure(Error::kInvalid, "the house's owner has no session to end");
  }
  call.names["tenant"] = call.who.tenant;
  const Act act{"sign_out", "session", "", "", {}, {}};
  CO_TRY(co_await control_.record(entry_of(call, act, "done")));
  CO_TRY(store_.end_session(sha256_text(bearer_of(call.request.authorization))));
  co_return json_answer("", 204);
}

// For a stolen laptop: whoever holds a session of theirs is nobody from now on.
Admin::Answered Admin::end_sessions(Call& call) {
  const Kind kind = *call.route->kind;
  const std::string name = call.object_name();
  if (call.state.stored(kind, call.tenant(), name) == nullptr) {
    co_return failure(Error::kNotFound,
                      fmt::format("there is no {} {}", text(kind), printable(name)));
  }
  const Act act{"end_sessions", fmt::format("{} {}", text(kind), name), "", "", {}, {}};
  CO_TRY(co_await control_.record(entry_of(call, act, "done")));
  const std::int64_t ended = CO_TRY(store_.end_sessions_of(kind, call.tenant(), name));
  wire::JsonWriter out;
  out.begin_object();
  out.key("ended").integer(ended);
  out.end_object();
  co_return json_answer(std::move(out).text());
}

}  // namespace gatehouse::control
