// SPDX-License-Identifier: Apache-2.0
#include "control/api.h"

#include <fmt/format.h>

#include "audit/digest.h"
#include "base/encoding.h"
#include "wire/http1.h"
#include "wire/json.h"
#include "wire/path.h"

namespace gatehouse::control {

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

}  // namespace gatehouse::control
