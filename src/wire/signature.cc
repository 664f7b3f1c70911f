// SPDX-License-Identifier: Apache-2.0
#include "wire/signature.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/encoding.h"

namespace gatehouse::wire {
namespace {

constexpr int kRsaBitsLeast = 2048;
constexpr int kRsaBitsMost = 8192;
constexpr std::size_t kExponentMost = 8;  // bytes
constexpr std::size_t kHalf = 32;         // of an ES256 signature (RFC 7518 section 3.4)

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(OSSL_PARAM_BLD* builder) const { OSSL_PARAM_BLD_free(builder); }
  void operator()(OSSL_PARAM* parameters) const { OSSL_PARAM_free(parameters); }
  void operator()(BIGNUM* number) const { BN_free(number); }
  void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

struct Algorithm {
  std::string_view name;
  Jwk::Type key;
};
constexpr std::array<Algorithm, 3> kAllowed = {
    {{"RS256", Jwk::Type::kRsa}, {"ES256", Jwk::Type::kP256}, {"EdDSA", Jwk::Type::kEd25519}}};

Failure denied(std::string_view why) {
  return failure(Error::kDenied, "the token " + std::string(why));
}

Owned<EVP_PKEY> key_from(const char* type, OSSL_PARAM_BLD* builder) {
  const Owned<OSSL_PARAM> parameters(OSSL_PARAM_BLD_to_param(builder));
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1
      || EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
    return nullptr;
  }
  return Owned<EVP_PKEY>(key);
}

Owned<BIGNUM> number_of(std::string_view bytes) {
  return Owned<BIGNUM>(BN_bin2bn(bytes_of(bytes).data(), static_cast<int>(bytes.size()), nullptr));
}

Owned<EVP_PKEY> rsa_key(const Jwk& jwk) {
  if (jwk.n.size() > kRsaBitsMost / 8 || jwk.e.size() > kExponentMost) return nullptr;
  const Owned<BIGNUM> n = number_of(jwk.n);
  const Owned<BIGNUM> e = number_of(jwk.e);
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder
      || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1
      || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1) {
    return nullptr;
  }
  Owned<EVP_PKEY> key = key_from("RSA", builder.get());
  if (!key || EVP_PKEY_get_bits(key.get()) < kRsaBitsLeast) return nullptr;
  return key;
}

Owned<EVP_PKEY> p256_key(const Jwk& jwk) {
  const std::string point = "\x04" + jwk.x + jwk.y;
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (!builder
      || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0)
             != 1
      || OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                          point.size())
             != 1) {
    return nullptr;
  }
  return key_from("EC", builder.get());
}

Owned<EVP_PKEY> key_of(const Jwk& jwk) {
  switch (jwk.type) {
    case Jwk::Type::kRsa:
      return rsa_key(jwk);
    case Jwk::Type::kP256:
      return p256_key(jwk);
    case Jwk::Type::kEd25519:
      break;
  }
  return Owned<EVP_PKEY>(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(jwk.x).data(), jwk.x.size()));
}

// An ES256 signature as OpenSSL wants it.
std::string der_of(std::string_view signature) {
  if (signature.size() != 2 * kHalf) return "";
  const Owned<ECDSA_SIG> pair(ECDSA_SIG_new());
  Owned<BIGNUM> r = number_of(signature.substr(0, kHalf));
  Owned<BIGNUM> s = number_of(signature.substr(kHalf));
  if (!pair || !r || !s || ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return "";
  static_cast<void>(r.release());
  static_cast<void>(s.release());
  std::array<unsigned char, 80> der{};
  unsigned char* end = der.data();
  const int size = i2d_ECDSA_SIG(pair.get(), &end);
  return size <= 0 ? "" : std::string(der.begin(), der.begin() + size);
}

bool is_signed_by(const Jwt& token, const Jwk& jwk) {
  const Owned<EVP_PKEY> key = key_of(jwk);
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  if (!key || !context) return false;
  const std::string signature =
      jwk.type == Jwk::Type::kP256 ? der_of(token.signature) : token.signature;
  const EVP_MD* digest = jwk.type == Jwk::Type::kEd25519 ? nullptr : EVP_sha256();
  return !signature.empty()
         && EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key.get()) == 1
         && EVP_DigestVerify(context.get(), bytes_of(signature).data(), signature.size(),
                             bytes_of(token.signing_input).data(), token.signing_input.size())
                == 1;
}

Owned<EVP_PKEY> private_key(const Secret& seed) {
  const std::string_view bytes = seed.open(Purpose::kDerive);
  if (bytes.size() != kEd25519Bytes) return nullptr;
  return Owned<EVP_PKEY>(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr,
                                                      bytes_of(bytes).data(), bytes.size()));
}

}  // namespace

Result<void> verify_signature(const Jwt& token, const std::vector<Jwk>& keys) {
  const auto* const algorithm =
      std::find_if(kAllowed.begin(), kAllowed.end(),
                   [&](const Algorithm& a) { return a.name == token.algorithm; });
  if (algorithm == kAllowed.end()) {
    return denied("is signed in a way that is not accepted: RS256, ES256 and EdDSA are");
  }
  std::vector<const Jwk*> candidates;
  for (const Jwk& key : keys) {
    const bool fits =
        key.type == algorithm->key && (key.algorithm.empty() || key.algorithm == token.algorithm);
    if (fits && (token.key_id.empty() || key.key_id == token.key_id)) candidates.push_back(&key);
  }
  if (candidates.size() != 1) {
    return failure(Error::kNotFound, "the issuer has not one key that this token names");
  }
  if (!is_signed_by(token, *candidates.front())) return denied("is not signed by its issuer");
  return {};
}

Result<std::string> ed25519_public(const Secret& seed) {
  const Owned<EVP_PKEY> key = private_key(seed);
  std::string bytes(kEd25519Bytes, '\0');
  std::size_t size = bytes.size();
  if (!key
      || EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(bytes.data()),
                                     &size)
             != 1
      || size != bytes.size()) {
    return failure(Error::kCorrupt, "a signing key is none of Ed25519");
  }
  return bytes;
}

Result<std::string> ed25519_signature(const Secret& seed, std::string_view text) {
  const Owned<EVP_PKEY> key = private_key(seed);
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  std::string bytes(kEd25519SignatureBytes, '\0');
  std::size_t size = bytes.size();
  if (!key || !context
      || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1
      || EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(bytes.data()), &size,
                        bytes_of(text).data(), text.size())
             != 1
      || size != bytes.size()) {
    return failure(Error::kCorrupt, "a signing key is none of Ed25519");
  }
  return bytes;
}

std::string ed25519_key_id(std::string_view public_key) {
  const std::string jwk =
      R"({"crv":"Ed25519","kty":"OKP","x":")" + to_base64url(public_key) + R"("})";
  std::string digest(32, '\0');
  unsigned int size = 0;
  EVP_Digest(jwk.data(), jwk.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
             EVP_sha256(), nullptr);
  return to_base64url(digest);
}

}  // namespace gatehouse::wire
