// SPDX-License-Identifier: Apache-2.0
#include "cli/issuer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.h"
#include "wire/json.h"

namespace gatehouse::cli {

Result<Endpoints> parse_endpoints(std::string_view issuer, int status, std::string_view body) {
  const auto document = wire::scan_object(body);
  if (status != 200 || !document || document->string("issuer") != issuer) {
    return failure(Error::kUpstream, fmt::format("{} does not describe itself as an OpenID Connect "
                                                 "issuer of that name",
                                                 issuer));
  }
  return Endpoints{document->string("authorization_endpoint").value_or(""),
                   document->string("token_endpoint").value_or(""),
                   document->string("device_authorization_endpoint").value_or("")};
}

Result<IssuerToken> parse_issuer_token(int status, std::string_view body) {
  const auto object = wire::scan_object(body);
  if (!object) return failure(Error::kUpstream, "the issuer's token endpoint answered no JSON");
  IssuerToken answer;
  if (status == 200) {
    std::string token = object->string("id_token").value_or("");
    answer.id_token = Secret(token);
    wipe({token.data(), token.size()});
    if (answer.id_token.empty()) answer.error = "no id_token";
  } else {
    answer.error = object->string("error").value_or("");
    if (answer.error.empty()) answer.error = fmt::format("status {}", status);
    answer.description = object->string("error_description").value_or("");
  }
  return answer;
}

Result<DeviceCode> parse_device_code(int status, std::string_view body) {
  const auto given = wire::scan_object(body);
  const auto text = [&](std::string_view key) {
    return given ? given->string(key).value_or("") : "";
  };
  const auto number = [&](std::string_view key, std::int64_t usual, std::int64_t most) {
    const wire::JsonValue* value = given ? given->find(key) : nullptr;
    return std::clamp<std::int64_t>(value == nullptr ? usual : value->integer().value_or(usual), 1,
                                    most);
  };
  if (status != 200 || text("device_code").empty() || text("user_code").empty()) {
    return failure(Error::kDenied,
                   fmt::format("the issuer gave no code: {} {}", printable(text("error")),
                               printable(text("error_description"))));
  }
  const std::string complete = text("verification_uri_complete");
  return DeviceCode{text("device_code"), text("user_code"),
                    complete.empty() ? text("verification_uri") : complete,
                    number("interval", kDevicePauseUsual_s, kDevicePauseMost_s),
                    number("expires_in", kDeviceMost_s, kDeviceMost_s)};
}

}  // namespace gatehouse::cli
