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
#include "cli/issuer.h"
#include "cli/redirect.h"
#include "wire/url.h"

namespace gatehouse::cli {
namespace {

using Form = std::vector<std::pair<std::string, std::string>>;

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
  return parse_endpoints(login.issuer, reply.status, reply.body);
}

Result<IssuerToken> ask_for_token(const Login& login, const Endpoints& at, const Form& form) {
  HttpReply reply = TRY(ask(login, at.token, &form));
  auto answer = parse_issuer_token(reply.status, reply.body);
  wipe({reply.body.data(), reply.body.size()});
  return answer;
}

Failure refused(const IssuerToken& answer) {
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
  IssuerToken answer =
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
  const DeviceCode given = TRY(parse_device_code(reply.status, reply.body));
  show(given.link, given.user_code);
  std::int64_t pause = given.interval_s;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(given.expires_s);
  while (std::chrono::steady_clock::now() < end) {
    sleep(static_cast<unsigned>(pause));
    IssuerToken answer =
        TRY(ask_for_token(login, at,
                          {{"grant_type", "urn:ietf:params:oauth:grant-type:device_code"},
                           {"device_code", given.device_code},
                           {"client_id", login.client_id}}));
    if (answer.error.empty()) return IdToken{std::move(answer.id_token), ""};
    if (answer.error == "slow_down")
      pause = std::min(pause + kDevicePauseUsual_s, kDevicePauseMost_s);
    if (answer.error != "slow_down" && answer.error != "authorization_pending") {
      return refused(answer);
    }
  }
  return failure(Error::kTimeout, "nobody typed the code in while it was good; try again");
}

}  // namespace gatehouse::cli
