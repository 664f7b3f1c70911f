// SPDX-License-Identifier: Apache-2.0
// JSON Web Tokens in the compact form (RFC 7519, RFC 7515) and JSON Web Key Sets (RFC 7517), taken
// apart strictly. Nothing here is verified: what a token says is worth nothing before its signature
// is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gatehouse::wire {

inline constexpr std::size_t kJwtMost = 16 * 1024;  // bytes
inline constexpr std::size_t kJwksMost = 48 * 1024;
inline constexpr std::size_t kJwkMost = 64;  // keys of a set

struct Jwt {
  std::string algorithm;  // `alg`
  std::string key_id;     // `kid`, "" if absent
  std::string type;       // `typ` in lower case, "" if absent
  std::string issuer;
  std::string subject;
  std::vector<std::string> audience;
  std::string authorized_party;  // `azp`
  std::string nonce;
  std::optional<std::int64_t> expires;  // Unix seconds, so below
  std::optional<std::int64_t> not_before;
  std::optional<std::int64_t> issued;
  std::string claims;         // the payload, a JSON object
  std::string signing_input;  // what is signed
  std::string signature;      // its bytes

  // A claim that is a string or a list of strings; what is anything else is empty.
  [[nodiscard]] std::vector<std::string> strings(std::string_view claim) const;
};

// Errors: kInvalid (not three parts of base64url without padding, not JSON, a member twice, a
// registered claim of another type, `crit`, which nothing here understands), kTooLarge.
[[nodiscard]] Result<Jwt> parse_jwt(std::string_view token);

// A public key for signatures.
struct Jwk {
  enum class Type : std::uint8_t { kRsa, kP256, kEd25519 };
  Type type = Type::kRsa;
  std::string key_id;
  std::string algorithm;  // "" if it does not say
  std::string n;          // of RSA, big-endian
  std::string e;
  std::string x;  // of the others, 32 bytes
  std::string y;
};

// The keys of a set that are of a type that is known here and not for encryption; others are passed
// over. Errors: kInvalid, kTooLarge, kTooMany.
[[nodiscard]] Result<std::vector<Jwk>> parse_jwks(std::string_view text);

}  // namespace gatehouse::wire
