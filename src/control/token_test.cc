// SPDX-License-Identifier: Apache-2.0
#include "control/token.h"

#include <gtest/gtest.h>
#include "base/encoding.h"
#include "control/test_signer.h"
#include "wire/signature.h"

namespace gatehouse::control {
namespace {

Result<void> verified(const std::string& token, const std::vector<wire::Jwk>& keys) {
  return wire::verify_signature(TRY(wire::parse_jwt(token)), keys);
}

constexpr const char* kClaims = R"({"iss":"https://i.example","sub":"s","aud":"a","exp":2000})";

TEST(Token, IsVerifiedByTheKeyThatItNames) {
  const Signer rsa = Signer::rsa();
  const Signer p256 = Signer::p256();
  const Signer ed25519 = Signer::ed25519();
  const std::vector<wire::Jwk> keys = {rsa.jwk, p256.jwk, ed25519.jwk};
  for (const Signer* signer : {&rsa, &p256, &ed25519}) {
    const std::string token = signer->sign(kClaims);
    EXPECT_TRUE(verified(token, keys)) << signer->algorithm;
    EXPECT_TRUE(verified(signer->sign(R"({"alg":")" + signer->algorithm + R"("})", kClaims), keys));
    for (const std::size_t at : {token.find('.') + 4, token.size() - 8}) {
      std::string other = token;
      other[at] = other[at] == 'A' ? 'B' : 'A';
      EXPECT_FALSE(verified(other, keys)) << signer->algorithm << " " << at;
    }
  }
}

TEST(Token, IsNotVerifiedInAnyOtherWay) {
  const Signer p256 = Signer::p256();
  const Signer other = Signer::p256();
  const auto code = [](const Result<void>& result) {
    return result ? "verified" : std::string(row_of(result.error().code()).label);
  };
  EXPECT_EQ(code(verified(other.sign(kClaims), {p256.jwk})), "denied");
  EXPECT_EQ(code(verified(p256.sign(R"({"alg":"ES256","kid":"new"})", kClaims), {p256.jwk})),
            "not_found");
  EXPECT_EQ(code(verified(p256.sign(R"({"alg":"ES256"})", kClaims), {p256.jwk, other.jwk})),
            "not_found")
      << "which of two is not guessed";
  for (const char* algorithm : {"none", "None", "HS256", "RS512", "ES384", "PS256", ""}) {
    const std::string header = std::string(R"({"alg":")") + algorithm + R"("})";
    EXPECT_EQ(code(verified(p256.sign(header, kClaims), {p256.jwk})), "denied") << algorithm;
    EXPECT_EQ(code(verified(to_base64url(header) + "." + to_base64url(kClaims) + ".", {p256.jwk})),
              "denied");
  }
  wire::Jwk for_another = p256.jwk;
  for_another.algorithm = "ES384";
  EXPECT_EQ(code(verified(p256.sign(kClaims), {for_another})), "not_found");
  const Signer small = Signer::rsa(1024);
  EXPECT_EQ(code(verified(small.sign(kClaims), {small.jwk})), "denied") << "1024 bits are too few";
  wire::Jwk off_curve = p256.jwk;
  off_curve.x.assign(32, '\1');
  EXPECT_EQ(code(verified(p256.sign(kClaims), {off_curve})), "denied");
}

std::string claims_error(const std::string& claims, std::int64_t now_seconds) {
  const Signer ed25519 = Signer::ed25519();
  const auto token = wire::parse_jwt(ed25519.sign(claims));
  if (!token) return token.error().message();
  const auto good =
      check_claims(*token, "https://i.example", WallTime(now_seconds * 1'000'000'000));
  return good ? "" : good.error().message();
}

TEST(Token, CountsForItsIssuerInItsTimeOnly) {
  EXPECT_EQ(claims_error(kClaims, 1000), "");
  EXPECT_EQ(claims_error(kClaims, 2059), "") << "a minute of skew";
  EXPECT_NE(claims_error(kClaims, 2060), "");
  const std::string begin = R"({"iss":"https://i.example","sub":"s")";
  EXPECT_NE(claims_error(begin + "}", 1000), "") << "without an end it is none";
  EXPECT_EQ(claims_error(begin + R"(,"exp":2000,"nbf":1060})", 1000), "");
  EXPECT_NE(claims_error(begin + R"(,"exp":2000,"nbf":1061})", 1000), "");
  EXPECT_NE(claims_error(begin + R"(,"exp":2000,"iat":1061})", 1000), "");
  EXPECT_NE(claims_error(begin + R"(,"exp":999999999,"iat":1000})", 1000 + 86'401), "");
  EXPECT_NE(claims_error(begin + R"(,"exp":9223372036854775807,"iat":-1})", 1000), "");
  EXPECT_EQ(claims_error(begin + R"(,"exp":9223372036854775807})", 1000), "");
  EXPECT_NE(claims_error(R"({"iss":"https://i.example/","sub":"s","exp":2000})", 1000), "");
  EXPECT_NE(claims_error(R"({"iss":"https://i.example","exp":2000})", 1000), "");
}

TEST(Token, IsReadStrictly) {
  const auto refused = [](const std::string& token) { return !wire::parse_jwt(token).has_value(); };
  const std::string header = to_base64url(R"({"alg":"ES256"})");
  const std::string good = header + "." + to_base64url("{}") + "." + to_base64url("sig");
  EXPECT_FALSE(refused(good));
  EXPECT_TRUE(refused("")) << "nothing";
  EXPECT_TRUE(refused(header + "." + to_base64url("{}"))) << "two parts";
  EXPECT_TRUE(refused(good + ".")) << "four parts";
  EXPECT_TRUE(refused(good + "=")) << "padding";
  EXPECT_TRUE(refused(header + "." + to_base64url("[]") + ".AA"));
  EXPECT_TRUE(refused(header + "." + to_base64url(R"({"sub":"a","sub":"b"})") + ".AA"));
  EXPECT_TRUE(refused(header + "." + to_base64url(R"({"exp":"2000"})") + ".AA"));
  EXPECT_TRUE(refused(header + "." + to_base64url(R"({"exp":1.5})") + ".AA"));
  EXPECT_TRUE(refused(header + "." + to_base64url(R"({"aud":7})") + ".AA"));
  EXPECT_TRUE(
      refused(to_base64url(R"({"alg":"ES256","crit":["x"]})") + "." + to_base64url("{}") + ".AA"));
  EXPECT_TRUE(refused(header + "." + to_base64url("{}") + ".AB")) << "bits that say nothing";
  EXPECT_TRUE(refused(std::string(wire::kJwtMost + 1, 'A')));
  const auto two =
      wire::parse_jwt(header + "." + to_base64url(R"({"aud":["a","b"],"groups":["g"]})") + ".AA");
  ASSERT_TRUE(two);
  EXPECT_EQ(two->audience, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(two->strings("groups"), std::vector<std::string>{"g"});
}

TEST(KeySet, HasWhatIsForSignaturesAndIsKnown) {
  const auto keys =
      wire::parse_jwks(R"({"keys":[{"kty":"RSA","kid":"a","use":"enc","n":"AQAB","e":"AQAB"},)"
                       R"({"kty":"RSA","kid":"b","use":"sig","n":"AQAB","e":"AQAB"},)"
                       R"({"kty":"EC","crv":"P-521","kid":"c"},{"kty":"oct","k":"AA"}]})");
  ASSERT_TRUE(keys) << keys.error().message();
  ASSERT_EQ(keys->size(), 1U);
  EXPECT_EQ(keys->front().key_id, "b");
  EXPECT_FALSE(wire::parse_jwks(R"({"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]})"));
  EXPECT_FALSE(wire::parse_jwks(R"({"keys":{}})"));
  EXPECT_FALSE(wire::parse_jwks("[]"));
  std::string many = R"({"keys":[)";
  for (std::size_t i = 0; i <= wire::kJwkMost; ++i) many += i == 0 ? "{}" : ",{}";
  EXPECT_EQ(wire::parse_jwks(many + "]}").error(), Error::kTooMany);
}

}  // namespace
}  // namespace gatehouse::control
