// SPDX-License-Identifier: Apache-2.0
#include "wire/jwt.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "wire/json.h"

namespace gatehouse::wire {
namespace {

constexpr std::size_t kCurveBytes = 32;

Failure wrong(std::string_view what) {
  return failure(Error::kInvalid, "the token " + std::string(what));
}

// Without padding, and the only spelling of its bytes (RFC 7515 section 2).
Result<std::string> strict_base64url(std::string_view text) {
  std::string bytes = TRY(from_base64url(text));
  if (to_base64url(bytes) != text) return wrong("has a part in another spelling of base64url");
  return bytes;
}

// A member that is a string, "" if absent.
Result<std::string> text_member(const JsonObject& object, std::string_view key) {
  const JsonValue* value = object.find(key);
  if (value == nullptr) return "";
  auto text = value->string();
  if (!text) return wrong("has a member that should be a string and is not");
  return *std::move(text);
}

Result<std::optional<std::int64_t>> date_member(const JsonObject& object, std::string_view key) {
  const JsonValue* value = object.find(key);
  if (value == nullptr) return std::nullopt;
  const auto seconds = value->integer();
  if (!seconds || *seconds < 0) return wrong("has a time that is no whole number of seconds");
  return seconds;
}

std::vector<std::string> strings_of(const JsonValue* value) {
  if (value == nullptr) return {};
  if (auto text = value->string()) return {*std::move(text)};
  std::vector<std::string> out;
  if (!value->is(JsonType::kArray)) return out;
  const auto items = scan_array(value->raw);
  if (!items) return out;
  for (const JsonValue& item : *items) {
    auto text = item.string();
    if (!text) return {};
    out.push_back(*std::move(text));
  }
  return out;
}

Result<void> read_header(std::string_view text, Jwt& jwt) {
  const JsonObject header = TRY(scan_object(text, Duplicates::kRejectEverywhere));
  if (header.find("crit") != nullptr) return wrong("demands extensions that are not known here");
  jwt.algorithm = TRY(text_member(header, "alg"));
  jwt.key_id = TRY(text_member(header, "kid"));
  jwt.type = TRY(text_member(header, "typ"));
  std::transform(jwt.type.begin(), jwt.type.end(), jwt.type.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  return {};
}

Result<void> read_claims(Jwt& jwt) {
  const JsonObject claims = TRY(scan_object(jwt.claims, Duplicates::kRejectEverywhere));
  jwt.issuer = TRY(text_member(claims, "iss"));
  jwt.subject = TRY(text_member(claims, "sub"));
  jwt.authorized_party = TRY(text_member(claims, "azp"));
  jwt.nonce = TRY(text_member(claims, "nonce"));
  jwt.expires = TRY(date_member(claims, "exp"));
  jwt.not_before = TRY(date_member(claims, "nbf"));
  jwt.issued = TRY(date_member(claims, "iat"));
  const JsonValue* audience = claims.find("aud");
  jwt.audience = strings_of(audience);
  if (audience != nullptr && jwt.audience.empty()) return wrong("has an audience that is none");
  return {};
}

// Nothing for a key that is not for us.
Result<std::optional<Jwk>> key_of(const JsonObject& object) {
  Jwk key;
  const std::string kind = TRY(text_member(object, "kty"));
  const std::string use = TRY(text_member(object, "use"));
  const std::string curve = TRY(text_member(object, "crv"));
  key.key_id = TRY(text_member(object, "kid"));
  key.algorithm = TRY(text_member(object, "alg"));
  if (!use.empty() && use != "sig") return std::nullopt;
  if (kind == "RSA") {
    key.type = Jwk::Type::kRsa;
    key.n = TRY(strict_base64url(TRY(text_member(object, "n"))));
    key.e = TRY(strict_base64url(TRY(text_member(object, "e"))));
    if (key.n.empty() || key.e.empty()) return wrong("key set has an RSA key without its numbers");
    return key;
  }
  const bool is_p256 = kind == "EC" && curve == "P-256";
  if (!is_p256 && !(kind == "OKP" && curve == "Ed25519")) return std::nullopt;
  key.type = is_p256 ? Jwk::Type::kP256 : Jwk::Type::kEd25519;
  key.x = TRY(strict_base64url(TRY(text_member(object, "x"))));
  if (is_p256) key.y = TRY(strict_base64url(TRY(text_member(object, "y"))));
  if (key.x.size() != kCurveBytes || (is_p256 && key.y.size() != kCurveBytes)) {
    return wrong("key set has a point of another size than its curve's");
  }
  return key;
}

}  // namespace

std::vector<std::string> Jwt::strings(std::string_view claim) const {
  const auto object = scan_object(claims);
  return object ? strings_of(object->find(claim)) : std::vector<std::string>();
}

Result<Jwt> parse_jwt(std::string_view token) {
  if (token.size() > kJwtMost) return failure(Error::kTooLarge, "the token is longer than 16 KiB");
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return wrong("is not three parts with dots between them");
  }
  Jwt jwt;
  TRY(read_header(TRY(strict_base64url(token.substr(0, first))), jwt));
  jwt.claims = TRY(strict_base64url(token.substr(first + 1, second - first - 1)));
  jwt.signature = TRY(strict_base64url(token.substr(second + 1)));
  jwt.signing_input = token.substr(0, second);
  TRY(read_claims(jwt));
  return jwt;
}

Result<std::vector<Jwk>> parse_jwks(std::string_view text) {
  if (text.size() > kJwksMost) return failure(Error::kTooLarge, "the key set is too large");
  const JsonObject set = TRY(scan_object(text, Duplicates::kRejectEverywhere));
  const JsonValue* list = set.find("keys");
  if (list == nullptr || !list->is(JsonType::kArray)) return wrong("key set has no keys");
  const std::vector<JsonValue> items = TRY(scan_array(list->raw));
  if (items.size() > kJwkMost) return failure(Error::kTooMany, "the key set has too many keys");
  std::vector<Jwk> keys;
  for (const JsonValue& item : items) {
    if (auto key = TRY(key_of(TRY(scan_object(item.raw))))) keys.push_back(*std::move(key));
  }
  return keys;
}

}  // namespace gatehouse::wire
