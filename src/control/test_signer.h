// SPDX-License-Identifier: Apache-2.0
// For tests: an issuer's key that signs tokens, and its public half as the issuer would show it.
#pragma once

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <memory>
#include <string>

#include "base/encoding.h"
#include "wire/jwt.h"

namespace gatehouse::control {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

inline std::string parameter(EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(key, name, &number);
  std::string bytes(static_cast<std::size_t>(BN_num_bytes(number)), '\0');
  BN_bn2bin(number, reinterpret_cast<unsigned char*>(bytes.data()));
  BN_free(number);
  return bytes;
}

inline std::string padded(std::string bytes) {
  return std::string(32 - bytes.size(), '\0') + bytes;
}

// An issuer's key: signs, and shows its public half.
struct Signer {
  std::string algorithm;
  Key key = Key(nullptr, EVP_PKEY_free);
  wire::Jwk jwk;

  static Signer rsa(unsigned bits = 2048) {
    Signer signer{"RS256", Key(EVP_RSA_gen(bits), EVP_PKEY_free), {}};
    signer.jwk = {wire::Jwk::Type::kRsa,
                  "rsa",
                  "",
                  parameter(signer.key.get(), "n"),
                  parameter(signer.key.get(), "e"),
                  "",
                  ""};
    return signer;
  }
  static Signer p256() {
    Signer signer{"ES256", Key(EVP_EC_gen("P-256"), EVP_PKEY_free), {}};
    signer.jwk = {wire::Jwk::Type::kP256,
                  "p256",
                  "ES256",
                  "",
                  "",
                  padded(parameter(signer.key.get(), OSSL_PKEY_PARAM_EC_PUB_X)),
                  padded(parameter(signer.key.get(), OSSL_PKEY_PARAM_EC_PUB_Y))};
    return signer;
  }
  static Signer ed25519() {
    Signer signer{"EdDSA", Key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free), {}};
    std::string x(32, '\0');
    std::size_t size = x.size();
    EVP_PKEY_get_raw_public_key(signer.key.get(), reinterpret_cast<unsigned char*>(x.data()),
                                &size);
    signer.jwk = {wire::Jwk::Type::kEd25519, "ed", "", "", "", x, ""};
    return signer;
  }

  std::string sign(const std::string& header, const std::string& claims) const {
    const std::string input = to_base64url(header) + "." + to_base64url(claims);
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_DigestSignInit(context, nullptr, algorithm == "EdDSA" ? nullptr : EVP_sha256(), nullptr,
                       key.get());
    std::string signature(1024, '\0');
    std::size_t size = signature.size();
    EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size,
                   bytes_of(input).data(), input.size());
    EVP_MD_CTX_free(context);
    signature.resize(size);
    if (algorithm == "ES256") signature = raw_of(signature);
    return input + "." + to_base64url(signature);
  }
  std::string sign(const std::string& claims) const {
    return sign(R"({"alg":")" + algorithm + R"(","kid":")" + jwk.key_id + R"("})", claims);
  }

 private:
  static std::string raw_of(const std::string& der) {
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
    std::string raw(64, '\0');
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), reinterpret_cast<unsigned char*>(raw.data()), 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), reinterpret_cast<unsigned char*>(raw.data()) + 32, 32);
    ECDSA_SIG_free(pair);
    return raw;
  }
};

}  // namespace gatehouse::control
