// SPDX-License-Identifier: Apache-2.0
// `gatehouse login`, `logout` and `whoami`.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <fstream>
#include <iterator>

#include "base/encoding.h"
#include "cli/answers.h"
#include "cli/api.h"
#include "cli/login.h"
#include "cli/session.h"
#include "wire/json.h"

namespace gatehouse::cli {
namespace {

constexpr std::size_t kTokenMost = 16 * 1024;  // bytes

// The issuer that the tenant's people sign in at.
Result<Login> login_at(const Api& api, const Options& options, std::string& tenant) {
  const std::string query =
      options.tenant.empty() ? "" : "?tenant=" + percent_encoded(options.tenant);
  const HttpReply reply = TRY(api.call("GET", "/v1/login" + query));
  Logins logins = TRY(parse_logins(reply.body));
  tenant = logins.tenant;
  if (!options.issuer.empty()) {
    std::erase_if(logins.issuers,
                  [&](const auto& issuer) { return issuer.name != options.issuer; });
  }
  if (logins.issuers.size() == 1) return std::move(logins.issuers.front().at);
  if (!logins.issuers.empty()) {
    return failure(Error::kInvalid, "people sign in at several issuers; say which with --issuer");
  }
  return failure(Error::kNotFound,
                 "there is no issuer that people sign in at; say of which tenant with --tenant, or "
                 "`gatehouse issuer create` makes one");
}

Result<std::string> token_in_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return failure_from_errno(errno, "reading " + path);
  std::string text(std::istreambuf_iterator<char>(file), {});
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  if (text.empty() || text.size() > kTokenMost) {
    return failure(Error::kInvalid, path + " holds no token");
  }
  return text;
}

void show_link(const Options& options, const std::string& url, const std::string& code) {
  if (options.form == Form::kJson) {
    print(told(options.form, "", {{"open", url}, {"code", code}}));
    return;
  }
  print(fmt::format("Open this link, and sign in:\n\n  {}\n\n", printable(url)));
  if (!code.empty()) print(fmt::format("It shows, or asks for, the code {}\n\n", printable(code)));
}

}  // namespace

Result<int> login(const Options& options, const Wiring& wiring) {
  const Api api = TRY(Api::open_unsigned(options, wiring));
  std::string tenant = options.tenant;
  std::string token;
  std::string nonce;
  if (!options.token_file.empty()) {
    token = TRY(token_in_file(options.token_file));
    if (tenant.empty()) {
      const HttpReply reply = TRY(api.call("GET", "/v1/login"));
      tenant = TRY(parse_logins(reply.body)).tenant;
    }
  } else {
    const Login at = TRY(login_at(api, options, tenant));
    const auto show = [&](const std::string& url, const std::string& code) {
      show_link(options, url, code);
    };
    const IdToken got =
        TRY(options.device ? login_by_device(at, show) : login_by_browser(at, show));
    token = got.text.open(Purpose::kTransport);
    nonce = got.nonce;
  }
  wire::JsonWriter body;
  body.begin_object();
  body.key("tenant").string(tenant).key("token").string(token).key("nonce").string(nonce);
  body.end_object();
  wipe({token.data(), token.size()});
  const HttpReply reply = TRY(api.call("POST", "/v1/sessions", std::move(body).text()));
  const StoredSession session = TRY(parse_session(reply.body));
  TRY(store_session(api.house(), session));
  print(told(options.form, fmt::format("signed in as {}, until {}", session.who, session.ends),
             {{"who", session.who}, {"tenant", session.tenant}, {"ends", session.ends}}));
  return 0;
}

Result<int> logout(const Options& options, const Wiring& wiring) {
  const Api unsigned_api = TRY(Api::open_unsigned(options, wiring));
  const auto stored = TRY(stored_session(unsigned_api.house()));
  if (!stored) {
    print(told(options.form, "nobody was signed in", {{"ended", false}}));
    return 0;
  }
  // A session that is over already, or a house that is away, is no reason to keep its token.
  const auto api = Api::open(options, wiring);
  const Result<HttpReply> ended =
      api ? api->call("DELETE", "/v1/sessions/current") : Failure(api.error());
  TRY(forget_session(unsigned_api.house()));
  if (!ended && ended.error() != Error::kUnauthenticated) {
    return failure(ended.error().code(),
                   "the session is forgotten here, and goes on in the house until it ends: "
                       + ended.error().message());
  }
  print(told(options.form, fmt::format("{} is signed out", stored->who), {{"ended", true}}));
  return 0;
}

Result<int> who_am_i(const Options& options, const Wiring& wiring) {
  const Api api = TRY(Api::open(options, wiring));
  const HttpReply reply = TRY(api.call("GET", "/v1/whoami"));
  if (options.form == Form::kJson) {
    print(reply.body + "\n");
    return 0;
  }
  const WhoAmI me = TRY(parse_who_am_i(reply.body));
  print(
      printable(fmt::format("{}{}\n", me.who,
                            me.is_house        ? ", the owner of the house"
                            : me.roles.empty() ? ", without a role"
                                               : fmt::format(": {}", fmt::join(me.roles, ", ")))));
  return 0;
}

}  // namespace gatehouse::cli
