// SPDX-License-Identifier: Apache-2.0
#include "control/api.h"

#include <fmt/format.h>

#include <charconv>

#include "audit/digest.h"
#include "base/encoding.h"
#include "wire/http1.h"
#include "wire/json.h"
#include "wire/path.h"

namespace gatehouse::control {
namespace {

constexpr std::string_view kNoToken = "page_token is what the page before gave as next_page_token";

// A header that may be there once. Errors: kInvalid.
Result<std::string> single(const wire::Headers& headers, std::string_view name) {
  const auto all = headers.all(name);
  if (all.size() > 1) return failure(Error::kInvalid, "a header is there twice");
  return all.empty() ? "" : std::string(all.front());
}

}  // namespace

ApiAnswer problem_of(const Error& error, int status) {
  const ErrorRow& row = row_of(error.code());
  ApiAnswer answer;
  answer.status = status == 0 ? row.http_status : status;
  answer.type = kProblemType;
  wire::JsonWriter out;
  out.begin_object();
  out.key("type").string(fmt::format("urn:gatehouse:error:{}", row.label));
  out.key("title").string(wire::reason_phrase(answer.status));
  out.key("status").integer(answer.status);
  out.key("detail").string(error.message());
  out.end_object();
  answer.body = std::move(out).text();
  return answer;
}

ApiAnswer json_answer(std::string body, int status) {
  ApiAnswer answer;
  answer.status = status;
  answer.body = std::move(body);
  return answer;
}

std::string sha256_text(std::string_view text) { return to_hex(audit::sha256(text)); }

Result<ApiTarget> parse_target(std::string_view path_and_query) {
  const std::size_t question = path_and_query.find('?');
  ApiTarget target;
  target.path = TRY(wire::canonical_path(path_and_query.substr(0, question)));
  std::string_view query =
      question == std::string_view::npos ? "" : path_and_query.substr(question + 1);
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    std::string name = TRY(percent_decoded(pair.substr(0, equals)));
    std::string value =
        equals == std::string_view::npos ? "" : TRY(percent_decoded(pair.substr(equals + 1)));
    if (!target.query.emplace(std::move(name), std::move(value)).second) {
      return failure(Error::kInvalid, "a name in the query is there twice");
    }
  }
  return target;
}

Result<ApiRequest> parse_request(const wire::RequestHead& head, std::string body) {
  if (head.form != wire::TargetForm::kOrigin) {
    return failure(Error::kInvalid, "this is no proxy: ask for a path");
  }
  ApiTarget target = TRY(parse_target(head.path_and_query()));
  ApiRequest request;
  request.method = head.method;
  if (head.authority) request.host = head.authority->host.text();
  request.path = std::move(target.path);
  request.query = std::move(target.query);
  request.authorization = TRY(single(head.headers, "authorization"));
  request.if_match = TRY(single(head.headers, "if-match"));
  request.idempotency_key = TRY(single(head.headers, "idempotency-key"));
  request.body = std::move(body);
  return request;
}

Result<Page> parse_page(const std::map<std::string, std::string>& query) {
  Page page;
  if (const auto given = query.find("limit"); given != query.end()) {
    const std::string& text = given->second;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), page.limit);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || page.limit == 0
        || page.limit > Page::kMost) {
      return failure(Error::kInvalid, fmt::format("limit is a number from 1 to {}", Page::kMost));
    }
  }
  if (const auto given = query.find("page_token"); given != query.end()) {
    auto decoded = from_base64url(given->second);
    if (!decoded || decoded->empty()) return failure(Error::kInvalid, std::string(kNoToken));
    page.after = *std::move(decoded);
  }
  return page;
}

Result<std::uint64_t> parse_position(std::string_view after) {
  std::uint64_t position = 0;
  if (after.empty()) return position;
  const auto parsed = std::from_chars(after.data(), after.data() + after.size(), position);
  if (parsed.ec != std::errc() || parsed.ptr != after.data() + after.size()) {
    return failure(Error::kInvalid, std::string(kNoToken));
  }
  return position;
}

}  // namespace gatehouse::control
