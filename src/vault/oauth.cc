// SPDX-License-Identifier: Apache-2.0
#include "vault/oauth.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <array>
#include <boost/json.hpp>

#include "base/encoding.h"
#include "ipc/codec.h"

namespace gatehouse::vault {
namespace {

constexpr std::size_t kTokenMost = 16 * 1024;

// Text that holds secrets while it is put together; wiped when it goes.
class Draft {
 public:
  explicit Draft(std::size_t room) { text_.reserve(room); }
  ~Draft() { wipe({text_.data(), text_.capacity()}); }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  Draft& add(std::string_view part) {
    text_ += part;
    return *this;
  }
  Draft& field(std::string_view name, std::string_view value) {
    if (!text_.empty()) text_ += '&';
    text_ += name;
    text_ += '=';
    std::string encoded = percent_encoded(value);
    text_ += encoded;
    wipe({encoded.data(), encoded.size()});
    return *this;
  }
  [[nodiscard]] Secret take() const { return Secret(text_); }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// A member that is a string, wiped in the document once it is taken.
std::optional<Secret> take_string(boost::json::object& object, std::string_view name) {
  boost::json::value* value = object.if_contains(name);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  boost::json::string& text = value->as_string();
  Secret secret({text.data(), text.size()});
  wipe({text.data(), text.size()});
  return secret;
}

std::string shown_string(const boost::json::object& object, std::string_view name) {
  const boost::json::value* value = object.if_contains(name);
  if (value == nullptr || !value->is_string()) return "";
  return printable(std::string_view(value->as_string()).substr(0, 300));
}

Failure refusal_of(std::int32_t status, const boost::json::object& object) {
  const std::string error = shown_string(object, "error");
  const std::string why = shown_string(object, "error_description");
  if (error == "invalid_grant") {
    return failure(Error::kDenied,
                   "the authorization server no longer accepts this grant; connect again");
  }
  return failure(Error::kUpstream,
                 fmt::format("the authorization server answered {}{}{}{}{}", status,
                             error.empty() ? "" : " ", error, why.empty() ? "" : ": ", why));
}

struct SealedTokens {
  Secret access;
  std::int64_t expires_unix_ms = 0;
  Secret refresh;
  std::string scope;
  std::string state;
  template <class F>
  void fields(F& f) {
    f(access, expires_unix_ms, refresh, scope, state);
  }
};

}  // namespace

Result<TokenAnswer> parse_token_answer(std::int32_t status, const Secret& body,
                                       std::int64_t now_unix_ms) {
  boost::system::error_code error;
  boost::json::parse_options options;
  options.max_depth = 8;
  boost::json::value document = boost::json::parse(body.open(Purpose::kDerive), error, {}, options);
  if (error || !document.is_object()) {
    return failure(
        Error::kUpstream,
        fmt::format("the authorization server answered {} with something that is no JSON "
                    "object",
                    status));
  }
  boost::json::object& object = document.as_object();
  if (status != 200) return refusal_of(status, object);
  TokenAnswer answer;
  std::optional<Secret> access = take_string(object, "access_token");
  if (!access || access->empty() || access->size() > kTokenMost) {
    return failure(Error::kUpstream,
                   "the authorization server's answer has no usable access_token");
  }
  answer.access.value = std::move(*access);
  std::string type = shown_string(object, "token_type");
  for (char& c : type) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
  if (type != "bearer") {
    return failure(Error::kUnsupported, "the token_type \"" + type + "\" is not known; Bearer is");
  }
  if (const auto* expires = object.if_contains("expires_in");
      expires != nullptr && expires->is_number()) {
    const auto seconds = expires->to_number<std::int64_t>(error);
    if (!error && seconds > 0 && seconds < 10LL * 365 * 24 * 3600) {
      answer.access.expires_unix_ms = now_unix_ms + seconds * 1000;
    }
  }
  if (auto refresh = take_string(object, "refresh_token");
      refresh && !refresh->empty() && refresh->size() <= kTokenMost) {
    answer.refresh = RefreshToken{std::move(*refresh)};
  }
  answer.scope = shown_string(object, "scope");
  return answer;
}

Secret make_verifier() {
  const Secret random = Secret::random(32);
  std::string text = to_base64url(random.open(Purpose::kDerive));
  Secret verifier(text);
  wipe({text.data(), text.size()});
  return verifier;
}

std::string challenge_of(const Secret& verifier) {
  const std::string_view text = verifier.open(Purpose::kDerive);
  std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return to_base64url(text_of(digest));
}

std::string authorization_url(const ipc::PublishService& service, std::string_view redirect_uri,
                              std::string_view state, const Secret& verifier) {
  const auto field = [](std::string_view name, std::string_view value) {
    return fmt::format("&{}={}", name, percent_encoded(value));
  };
  return service.authorization_endpoint + (service.authorization_endpoint.contains('?') ? "&" : "?")
         + "response_type=code" + field("client_id", service.client_id)
         + field("redirect_uri", redirect_uri) + field("scope", joined(service.scopes))
         + field("state", state) + field("code_challenge", challenge_of(verifier))
         + field("code_challenge_method", "S256") +
         // OpenID Connect servers give a refresh token only after explicit consent.
         field("prompt", "consent");
}

Secret code_form(const ipc::PublishService& service, const Secret& code,
                 std::string_view redirect_uri, const Secret& verifier, bool confidential) {
  Draft draft(4096 + 3 * code.size());
  draft.field("grant_type", "authorization_code")
      .field("code", code.open(Purpose::kTransport))
      .field("redirect_uri", redirect_uri)
      .field("code_verifier", verifier.open(Purpose::kTransport));
  if (!confidential) draft.field("client_id", service.client_id);
  return draft.take();
}

Secret refresh_form(const ipc::PublishService& service, const RefreshToken& token,
                    bool confidential) {
  Draft draft(4096 + 3 * token.value.size());
  draft.field("grant_type", "refresh_token")
      .field("refresh_token", token.value.open(Purpose::kTransport));
  if (!confidential) draft.field("client_id", service.client_id);
  return draft.take();
}

Secret basic_authorization(std::string_view client_id, const ClientSecret& secret) {
  Draft pair(1024 + 3 * secret.value.size());
  std::string encoded = percent_encoded(secret.value.open(Purpose::kTransport));
  pair.add(percent_encoded(client_id)).add(":").add(encoded);
  wipe({encoded.data(), encoded.size()});
  std::string base64 = to_base64(pair.text());
  Draft header(16 + base64.size());
  header.add("Basic ").add(base64);
  wipe({base64.data(), base64.size()});
  return header.take();
}

Secret tokens_text(const Tokens& tokens) {
  SealedTokens sealed{tokens.access.value.duplicate(Purpose::kSeal), tokens.access.expires_unix_ms,
                      tokens.refresh.value.duplicate(Purpose::kSeal), tokens.scope, tokens.state};
  std::string text = ipc::encode(sealed);
  Secret secret(text);
  wipe({text.data(), text.size()});
  return secret;
}

Result<Tokens> parse_tokens(const Secret& text) {
  auto sealed = ipc::decode<SealedTokens>(text.open(Purpose::kDerive));
  if (!sealed) return failure(Error::kCorrupt, "sealed tokens that do not decode");
  return Tokens{{std::move(sealed->access), sealed->expires_unix_ms},
                {std::move(sealed->refresh)},
                std::move(sealed->scope),
                std::move(sealed->state)};
}

}  // namespace gatehouse::vault
