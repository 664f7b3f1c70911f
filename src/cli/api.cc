// SPDX-License-Identifier: Apache-2.0
#include "cli/api.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "base/encoding.h"
#include "base/time.h"
#include "cli/answers.h"
#include "cli/session.h"
#include "wire/url.h"

namespace gatehouse::cli {
Result<Api> Api::open(const Options& options, const Wiring& wiring) {
  Api api = TRY(open_unsigned(options, wiring));
  const auto stored = TRY(stored_session(api.house()));
  if (!stored) return api;
  if (stored->ends <= WallTime::now().text()) {  // RFC 3339 in UTC sorts as time does
    return failure(Error::kUnauthenticated,
                   fmt::format("the session of {} ended at {}; `gatehouse login` begins another, "
                               "`gatehouse logout` forgets it",
                               stored->who, stored->ends));
  }
  api.session_ = stored->session;
  return api;
}

namespace {

// Sessions travel there: in the clear to loopback only.
Result<HttpPlace> place_at(const std::string& server, const std::string& ca_file) {
  const wire::Url url = TRY(wire::Url::parse(server));
  const bool is_loopback =
      url.host.ip() && wire::address_class(*url.host.ip()) == wire::AddressClass::kLoopback;
  if (url.path_and_query != "/" || (url.scheme == wire::Scheme::kHttp && !is_loopback)) {
    return failure(Error::kInvalid,
                   "a server is https://HOST:PORT, without a path (http at a loopback address)");
  }
  HttpPlace place;
  place.origin = url.origin();
  if (ca_file.empty()) return place;
  std::ifstream file(ca_file, std::ios::binary);
  if (!file) return failure_from_errno(errno, "reading " + ca_file);
  place.ca_pem.assign(std::istreambuf_iterator<char>(file), {});
  return place;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

Result<Api> Api::open_unsigned(const Options& options, const Wiring& wiring) {
  const bool says_where = !options.data.empty() || !options.config.empty();
  const std::string server =
      !options.server.empty() || says_where ? options.server : variable("GATEHOUSE_SERVER");
  if (!server.empty()) {
    const std::string ca =
        options.server_ca.empty() ? variable("GATEHOUSE_SERVER_CA") : options.server_ca;
    return Api(TRY(place_at(server, ca)));
  }
  HttpPlace place;
  place.socket = TRY(data_directory(options, wiring)) + "/run/admin.sock";
  return Api(std::move(place));
}

Result<std::optional<Api>> Api::signed_in(const Options& options, const Wiring& wiring) {
  const Api there = TRY(open_unsigned(options, wiring));
  if (there.place_.socket.empty() || TRY(stored_session(there.house()))) {
    return TRY(open(options, wiring));
  }
  return std::nullopt;
}

HttpRequest Api::request(std::string_view method, const std::string& path, const std::string& body,
                         std::vector<std::pair<std::string, std::string>> headers) const {
  HttpRequest request;
  request.method = method;
  request.target = path;
  request.headers = std::move(headers);
  request.body = body;
  if (!session_.empty()) request.headers.emplace_back("authorization", "Bearer " + session_);
  if (!body.empty()) request.headers.emplace_back("content-type", "application/json");
  return request;
}

Result<HttpReply> Api::call(std::string_view method, const std::string& path,
                            const std::string& body,
                            std::vector<std::pair<std::string, std::string>> headers) const {
  HttpReply reply = TRY(http(place_, request(method, path, body, std::move(headers))));
  if (reply.status / 100 != 2) return Failure(parse_problem(reply.status, reply.body));
  return reply;
}

net::Task<Result<HttpReply>> Api::call_on(net::Loop& loop, std::string_view method,
                                          std::string path) const {
  HttpReply reply = CO_TRY(co_await http_on(loop, place_, request(method, path, "", {})));
  if (reply.status / 100 != 2) co_return Failure(parse_problem(reply.status, reply.body));
  co_return reply;
}

Result<std::vector<std::string>> Api::list(const std::string& path) const {
  constexpr int kPagesMost = 1000;
  std::vector<std::string> items;
  std::string token;
  for (int pages = 0; pages < kPagesMost; ++pages) {
    const HttpReply reply =
        TRY(call("GET", fmt::format("{}?limit=500{}{}", path,
                                    token.empty() ? "" : "&page_token=", percent_encoded(token))));
    ListPage page = TRY(parse_list_page(reply.body));
    for (std::string& item : page.items) items.push_back(std::move(item));
    token = std::move(page.next_token);
    if (token.empty()) return items;
  }
  return failure(Error::kUpstream, "the gatehouse answers with a list that does not end");
}

Result<std::string> Api::tenant(const Options& options) const {
  if (!options.tenant.empty()) return percent_encoded(options.tenant);
  const std::vector<std::string> tenants = TRY(list("/v1/tenants"));
  if (tenants.size() != 1) {
    return failure(Error::kInvalid, "there is more than one tenant; say which with --tenant");
  }
  return percent_encoded(TRY(parse_name(tenants.front())));
}

}  // namespace gatehouse::cli
