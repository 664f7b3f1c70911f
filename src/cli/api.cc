// SPDX-License-Identifier: Apache-2.0
#include "cli/api.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "base/time.h"
#include "cli/session.h"
#include "wire/json.h"

namespace gatehouse::cli {
namespace {

// Of a problem (RFC 9457) its detail, else what there is.
Error error_of(const HttpReply& reply) {
  const auto problem = wire::scan_object(reply.body);
  const std::string type = problem ? problem->string("type").value_or("") : "";
  Error::Code code = Error::kUpstream;
  for (int at = Error::kInternal; at <= Error::kTooSlow; ++at) {
    const auto candidate = static_cast<Error::Code>(at);
    if (type == fmt::format("urn:gatehouse:error:{}", row_of(candidate).label)) code = candidate;
  }
  std::string detail = problem ? problem->string("detail").value_or("") : "";
  if (detail.empty()) detail = fmt::format("the gatehouse answered with status {}", reply.status);
  return {code, detail};
}

}  // namespace

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

Result<Api> Api::open_unsigned(const Options& options, const Wiring& wiring) {
  HttpPlace place;
  place.socket = TRY(data_directory(options, wiring)) + "/run/admin.sock";
  return Api(std::move(place));
}

Result<HttpReply> Api::call(std::string_view method, const std::string& path,
                            const std::string& body,
                            std::vector<std::pair<std::string, std::string>> headers) const {
  HttpRequest request;
  request.method = method;
  request.target = path;
  request.headers = std::move(headers);
  request.body = body;
  if (!session_.empty()) request.headers.emplace_back("authorization", "Bearer " + session_);
  if (!body.empty()) request.headers.emplace_back("content-type", "application/json");
  HttpReply reply = TRY(http(place_, request));
  if (reply.status / 100 != 2) return Failure(error_of(reply));
  return reply;
}

Result<std::vector<std::string>> Api::list(const std::string& path) const {
  std::vector<std::string> items;
  std::string token;
  do {
    const HttpReply reply =
        TRY(call("GET", fmt::format("{}?limit=500{}{}", path,
                                    token.empty() ? "" : "&page_token=", percent_encoded(token))));
    const wire::JsonObject page = TRY(wire::scan_object(reply.body));
    const wire::JsonValue* list = page.find("items");
    if (list == nullptr) return failure(Error::kUpstream, "the gatehouse answered without items");
    for (const wire::JsonValue& item : TRY(wire::scan_array(list->raw))) {
      items.emplace_back(item.raw);
    }
    token = page.string("next_page_token").value_or("");
  } while (!token.empty());
  return items;
}

Result<std::string> Api::tenant(const Options& options) const {
  if (!options.tenant.empty()) return percent_encoded(options.tenant);
  const std::vector<std::string> tenants = TRY(list("/v1/tenants"));
  if (tenants.size() != 1) {
    return failure(Error::kInvalid, "there is more than one tenant; say which with --tenant");
  }
  const wire::JsonObject only = TRY(wire::scan_object(tenants.front()));
  return percent_encoded(only.string("name").value_or(""));
}

}  // namespace gatehouse::cli
