// SPDX-License-Identifier: Apache-2.0
#include "cli/login.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/encoding.h"
#include "cli/http.h"
#include "cli/redirect.h"
#include "wire/json.h"
#include "wire/url.h"

namespace gatehouse::cli {
namespace {

constexpr std::int64_t kPauseUsual_s = 5;  // RFC 8628 section 3.2
constexpr std::int64_t kPauseMost_s = 60;
constexpr std::int64_t kDeviceMost_s = 1800;

using Form = std::vector<std::pair<std::string, std::string>>;

// What the issuer says of itself (OpenID Connect Discovery 1.0 section 4).
struct Endpoints {
  std::string authorization;
  std::string token;
  std::string device;  // "": it has none
};

std::string random_text() { return to_base64url(Secret::random(32).open(Purpose::kDerive)); }

std::string challenge_of(std::string_view verifier) {
  std::array<unsigned char, 32> digest{};
  EVP_Digest(verifier.data(), verifier.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  return to_base64url(gatehouse::text_of(digest));
}

std::string encoded(const Form& form) {
  std::string out;
  for (const auto& [name, value] : form) {
    out += fmt::format("{}{}={}", out.empty() ? "" : "&", name, percent_encoded(value));
  }
  return out;
}

std::string scope_of(const Login& login) {
  std::string scope = "openid";
  for (const std::string& more : login.scopes) scope += " " + more;
  return scope;
}

// Codes and tokens go by TLS, or in the clear where the issuer itself is on loopback.
Result<wire::Url> endpoint_of(const Login& login, const std::string& text) {
  const wire::Url issuer = TRY(wire::Url::parse(login.issuer));
  const wire::Url url = TRY(wire::Url::parse(text));
  if (url.scheme == wire::Scheme::kHttp
      && (issuer.scheme != wire::Scheme::kHttp || url.host != issuer.host)) {
    return failure(Error::kUpstream,
                   fmt::format("the issuer has an endpoint in the clear: {}", printable(text)));
  }
  return url;
}

Result<HttpReply> ask(const Login& login, const std::string& text, const Form* form) {
  const wire::Url url = TRY(endpoint_of(login, text));
  HttpRequest request;
  request.target = url.path_and_query;
  if (form != nullptr) {
    request.method = "POST";
    request.body = encoded(*form);
    request.headers = {{"content-type", "application/x-www-form-urlencoded"}};
  }
  return http({"", url.origin(), login.ca_pem}, request);
}

Result<Endpoints> discover(const Login& login) {
  std::string base = login.issuer;
  if (base.ends_with('/')) base.pop_back();
  const HttpReply reply = TRY(ask(login, base + "/.well-known/openid-configuration", nullptr));
  const auto document = wire::scan_object(reply.body);
  if (reply.status != 200 || !document || document->string("issuer") != login.issuer) {
    return failure(Error::kUpstream, fmt::format("{} does not describe itself as an OpenID Connect "
                                                 "issuer of that name",
                                                 login.issuer));
  }
  return Endpoints{document->string("authorization_endpoint").value_or(""),
                   document->string("token_endpoint").value_or(""),
                   document->string("device_authorization_endpoint").value_or("")};
}

// The ID token of a token endpoint's answer, or what the error is.
struct TokenAnswer {
  Secret id_token;
  std::string error;
  std::string description;
};
Result<TokenAnswer> ask_for_token(const Login& login, const Endpoints& at, const Form& form) {
  HttpReply reply = TRY(ask(login, at.token, &form));
  TokenAnswer answer;
  const auto object = wire::scan_object(reply.body);
  if (!object) return failure(Error::kUpstream, "the issuer's token endpoint answered no JSON");
  if (reply.status == 200) {
    std::string token = object->string("id_token").value_or("");
    answer.id_token = Secret(token);
    wipe({token.data(), token.size()});
    if (answer.id_token.empty()) answer.error = "no id_token";
  } else {
    answer.error = object->string("error").value_or(fmt::format("status {}", reply.status));
    answer.description = object->string("error_description").value_or("");
  }
  wipe({reply.body.data(), reply.body.size()});
  return answer;
}

Failure refused(const TokenAnswer& answer) {
  return failure(Error::kDenied, fmt::format("the issuer refused: {} {}", printable(answer.error),
                                             printable(answer.description)));
}

}  // namespace

Result<IdToken> login_by_browser(const Login& login, const ShowLink& show) {
  const Endpoints at = TRY(discover(login));
  TRY(endpoint_of(login, at.authorization));
  RedirectListener listener = TRY(RedirectListener::open());
  const std::string verifier = random_text();
  const std::string state = random_text();
  const std::string nonce = random_text();
  show(fmt::format("{}{}{}", at.authorization, at.authorization.contains('?') ? "&" : "?",
                   encoded({{"response_type", "code"},
                            {"client_id", login.client_id},
                            {"redirect_uri", listener.uri()},
                            {"scope", scope_of(login)},
                            {"state", state},
                            {"nonce", nonce},
                            {"code_challenge", challenge_of(verifier)},
                            {"code_challenge_method", "S256"}})),
       "");
  const Redirect redirect = TRY(listener.wait(state));
  if (!redirect.issuer.empty() && redirect.issuer != login.issuer) {  // RFC 9207 section 2.4
    return failure(Error::kDenied, "the answer came from another issuer");
  }
  TokenAnswer answer =
      TRY(ask_for_token(login, at,
                        {{"grant_type", "authorization_code"},
                         {"code", std::string(redirect.code.open(Purpose::kTransport))},
                         {"redirect_uri", listener.uri()},
                         {"client_id", login.client_id},
                         {"code_verifier", verifier}}));
  if (!answer.error.empty()) return refused(answer);
  return IdToken{std::move(answer.id_token), nonce};
}

Result<IdToken> login_by_device(const Login& login, const ShowLink& show) {
  const Endpoints at = TRY(discover(login));
  if (at.device.empty()) {
    return failure(Error::kUnsupported,
                   "this issuer has no device authorization (RFC 8628); leave out --device");
  }
  const Form begin = {{"client_id", login.client_id}, {"scope", scope_of(login)}};
  const HttpReply reply = TRY(ask(login, at.device, &begin));
  const auto given = wire::scan_object(reply.body);
  const auto text = [&](std::string_view key) {
    return given ? given->string(key).value_or("") : "";
  };
  const auto number = [&](std::string_view key, std::int64_t usual) {
    const wire::JsonValue* value = given ? given->find(key) : nullptr;
    return value == nullptr ? usual : value->integer().value_or(usual);
  };
  if (reply.status != 200 || text("device_code").empty() || text("user_code").empty()) {
    return failure(Error::kDenied,
                   fmt::format("the issuer gave no code: {} {}", printable(text("error")),
                               printable(text("error_description"))));
  }
  const std::string complete = text("verification_uri_complete");
  show(complete.empty() ? text("verification_uri") : complete, text("user_code"));
  std::int64_t pause = std::clamp<std::int64_t>(number("interval", kPauseUsual_s), 1, kPauseMost_s);
  const auto end = std::chrono::steady_clock::now()
                   + std::chrono::seconds(std::clamp<std::int64_t>(
                       number("expires_in", kDeviceMost_s), 1, kDeviceMost_s));
  while (std::chrono::steady_clock::now() < end) {
    sleep(static_cast<unsigned>(pause));
    TokenAnswer answer =
        TRY(ask_for_token(login, at,
                          {{"grant_type", "urn:ietf:params:oauth:grant-type:device_code"},
                           {"device_code", text("device_code")},
                           {"client_id", login.client_id}}));
    if (answer.error.empty()) return IdToken{std::move(answer.id_token), ""};
    if (answer.error == "slow_down") pause = std::min(pause + kPauseUsual_s, kPauseMost_s);
    if (answer.error != "slow_down" && answer.error != "authorization_pending") {
      return refused(answer);
    }
  }
  return failure(Error::kTimeout, "nobody typed the code in while it was good; try again");
}

}  // namespace gatehouse::cli
