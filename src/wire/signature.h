// SPDX-License-Identifier: Apache-2.0
// Signatures of JSON Web Tokens (RFC 7515, RFC 8037): verified by a set of public keys, and made
// with Ed25519. Pure, but for the cryptography of OpenSSL.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "wire/jwt.h"

namespace gatehouse::wire {

inline constexpr std::size_t kEd25519Bytes = 32;  // of a seed and of a public key
inline constexpr std::size_t kEd25519SignatureBytes = 64;

// RS256, ES256 and EdDSA (Ed25519) are allowed; an RSA key has 2048 to 8192 bits. A token that
// names a key is verified by that key; one that names none, by the only key of its algorithm.
// Errors: kNotFound when the issuer has no such key (its keys may have been changed); kDenied.
[[nodiscard]] Result<void> verify_signature(const Jwt& token, const std::vector<Jwk>& keys);

// Of a seed, which is the private key (RFC 8032 section 5.1.5). Errors: kCorrupt for another size.
[[nodiscard]] Result<std::string> ed25519_public(const Secret& seed);
[[nodiscard]] Result<std::string> ed25519_signature(const Secret& seed, std::string_view text);
// The `kid` that says which key it is: its thumbprint (RFC 7638, RFC 8037 appendix A.3).
[[nodiscard]] std::string ed25519_key_id(std::string_view public_key);

}  // namespace gatehouse::wire
