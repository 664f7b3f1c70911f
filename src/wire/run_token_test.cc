// SPDX-License-Identifier: Apache-2.0
#include "wire/run_token.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/encoding.h"
#include "wire/signature.h"

namespace gatehouse::wire {
namespace {

constexpr std::int64_t kNow_s = 1'800'000'000;
const WallTime kNow(kNow_s * 1'000'000'000);

Jwk key_of(const Secret& seed) {
  const std::string bytes = *ed25519_public(seed);
  return {Jwk::Type::kEd25519, ed25519_key_id(bytes), "EdDSA", "", "", bytes, ""};
}

struct Minted {
  Secret seed = Secret::random(kEd25519Bytes);
  std::vector<Jwk> keys = {key_of(seed)};
  std::string thumbprint = std::string(kThumbprintBytes, 't');
  RunToken token{RunId::fresh(), "acme", thumbprint, "token-1", kNow_s, kNow_s + 600};

  [[nodiscard]] std::string text() const {
    return std::string(signed_run_token(token, seed)->open(Purpose::kCompare));
  }
  [[nodiscard]] std::string text_of(std::string_view header, std::string_view claims) const {
    const std::string input = to_base64url(header) + "." + to_base64url(claims);
    return input + "." + to_base64url(*ed25519_signature(seed, input));
  }
  // "" when it is accepted.
  [[nodiscard]] std::string fault(const std::string& presented) const {
    const auto verified = verified_run_token(presented, keys, thumbprint, kNow);
    return verified ? "" : std::string(label(verified.error().fault));
  }
  [[nodiscard]] std::string header() const {
    return R"({"alg":"EdDSA","typ":"at+jwt","kid":")" + keys.front().key_id + R"("})";
  }
  [[nodiscard]] std::string claims() const {
    return *from_base64url(
        text().substr(text().find('.') + 1, text().rfind('.') - text().find('.') - 1));
  }
};

std::string with(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST(RunToken, SaysWhatItWasMadeOf) {
  const Minted minted;
  const auto token = verified_run_token(minted.text(), minted.keys, minted.thumbprint, kNow);
  ASSERT_TRUE(token) << token.error().why;
  EXPECT_EQ(token->run, minted.token.run);
  EXPECT_EQ(token->tenant, "acme");
  EXPECT_EQ(token->thumbprint, minted.thumbprint);
  EXPECT_EQ(token->id, "token-1");
  EXPECT_EQ(token->expires_unix_s, kNow_s + 600);
  EXPECT_LE(minted.text().size(), kRunTokenMost);
}

TEST(RunToken, CountsWithTheKeyOfItsCertificateOnly) {
  Minted minted;
  const std::string stolen = minted.text();
  minted.thumbprint = std::string(kThumbprintBytes, 'o');
  EXPECT_EQ(minted.fault(stolen), "other_key");
  minted.thumbprint = "";
  EXPECT_EQ(minted.fault(stolen), "other_key") << "a client without a certificate";
  minted.thumbprint = std::string(kThumbprintBytes - 1, 't');
  EXPECT_EQ(minted.fault(stolen), "other_key") << "a beginning is not enough";
}

TEST(RunToken, IsGoodForItsTimeOnly) {
  Minted minted;
  minted.token.expires_unix_s = kNow_s;
  EXPECT_EQ(minted.fault(minted.text()), "expired");
  minted.token.expires_unix_s = kNow_s + 1;
  EXPECT_EQ(minted.fault(minted.text()), "");
  minted.token.issued_unix_s = kNow_s + 6;
  minted.token.expires_unix_s = kNow_s + 600;
  EXPECT_EQ(minted.fault(minted.text()), "not_yet");
  minted.token.issued_unix_s = kNow_s + 5;
  EXPECT_EQ(minted.fault(minted.text()), "") << "a clock that was set back by a little";
  minted.token.issued_unix_s = INT64_MAX;
  minted.token.expires_unix_s = INT64_MAX;
  EXPECT_EQ(minted.fault(minted.text()), "not_yet") << "no number overflows";
}

TEST(RunToken, OfTwoKeysEitherIsGoodAndNoThird) {
  Minted before;
  Minted now;
  const std::string old_one = before.text();
  now.keys.push_back(before.keys.front());
  now.thumbprint = before.thumbprint;
  EXPECT_EQ(now.fault(old_one), "");
  EXPECT_EQ(now.fault(now.text()), "");
  EXPECT_EQ(now.fault(Minted().text()), "signature");
  now.keys.pop_back();
  EXPECT_EQ(now.fault(old_one), "signature") << "a key that is over";
  now.keys.clear();
  EXPECT_EQ(now.fault(now.text()), "signature") << "no key is known yet";
}

TEST(RunToken, AnotherAlgorithmIsNoSignature) {
  const Minted minted;
  const std::string claims = minted.claims();
  const std::string bare = to_base64url(claims);
  EXPECT_EQ(minted.fault(to_base64url(with(minted.header(), "EdDSA", "none")) + "." + bare + "."),
            "signature");
  // The public key as a secret that both sides know (RFC 8725 section 2.1).
  const std::string input = to_base64url(with(minted.header(), "EdDSA", "HS256")) + "." + bare;
  std::string mac(32, '\0');
  unsigned int size = 0;
  HMAC(EVP_sha256(), minted.keys.front().x.data(), 32, bytes_of(input).data(), input.size(),
       reinterpret_cast<unsigned char*>(mac.data()), &size);
  EXPECT_EQ(minted.fault(input + "." + to_base64url(mac)), "signature");
  for (const char* algorithm : {"None", "ES256", "RS256", "eddsa", ""}) {
    EXPECT_EQ(minted.fault(minted.text_of(with(minted.header(), "EdDSA", algorithm), claims)),
              "signature")
        << algorithm;
  }
  EXPECT_EQ(minted.fault(minted.text_of(R"({"alg":"EdDSA","typ":"at+jwt"})", claims)), "signature")
      << "a token that names no key";
}

TEST(RunToken, AnyByteOfItThatIsAnotherIsRefused) {
  const Minted minted;
  const std::string text = minted.text();
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string other = text;
    other[at] = other[at] == 'A' ? 'B' : 'A';
    EXPECT_NE(minted.fault(other), "") << at;
  }
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_NE(minted.fault(text.substr(0, size)), "") << size;
  }
}

TEST(RunToken, AClaimThatIsMissingOrOtherIsRefused) {
  const Minted minted;
  const std::string claims = minted.claims();
  EXPECT_EQ(minted.fault(minted.text_of(minted.header(), claims)), "");
  const auto fault = [&](std::string_view from, std::string_view to) {
    return minted.fault(minted.text_of(minted.header(), with(claims, from, to)));
  };
  EXPECT_EQ(fault("urn:gatehouse:control", "https://issuer.example"), "audience");
  EXPECT_EQ(fault("urn:gatehouse:gateway", "urn:other"), "audience");
  EXPECT_EQ(fault(R"("urn:gatehouse:gateway")", R"(["urn:gatehouse:gateway","urn:other"])"),
            "audience");
  for (const auto& [from, to] : {std::pair("\"sub\"", "\"subject\""), std::pair("\"tid\"", "\"t\""),
                                 std::pair("\"jti\"", "\"j\""), std::pair("\"exp\"", "\"e\""),
                                 std::pair("\"iat\"", "\"i\""), std::pair("\"cnf\"", "\"c\""),
                                 std::pair("x5t#S256", "jkt"), std::pair("\"run_", "\"lse_")}) {
    EXPECT_EQ(fault(from, to), "malformed") << from;
  }
  EXPECT_EQ(fault("{\"iss\"", "{\"sub\":\"run_00000000000000000000000000\",\"iss\""), "malformed")
      << "a claim that is there twice";
  EXPECT_EQ(minted.fault(minted.text_of(with(minted.header(), "at+jwt", "jwt"), claims)),
            "malformed")
      << "an ID token is no access token (RFC 9068 section 4)";
  EXPECT_EQ(minted.fault(std::string(kRunTokenMost + 1, 'a')), "malformed");
}

TEST(RunToken, ARefusalSaysNothingOfTheToken) {
  Minted minted;
  minted.token.expires_unix_s = 1;
  const auto refused = verified_run_token(minted.text(), minted.keys, minted.thumbprint, kNow);
  ASSERT_FALSE(refused);
  EXPECT_FALSE(refused.error().why.contains("token-1"));
  ASSERT_TRUE(refused.error().signed_as);
  EXPECT_EQ(refused.error().signed_as->run, minted.token.run) << "for the record of that Run";
  const auto forged = verified_run_token(Minted().text(), minted.keys, minted.thumbprint, kNow);
  EXPECT_FALSE(forged.error().signed_as) << "what nobody signed is nobody's";
}

TEST(RunToken, AKeyIsNamedByItsThumbprint) {
  // RFC 8037 appendix A.3.
  const auto bytes = from_base64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
  EXPECT_EQ(ed25519_key_id(*bytes), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
  EXPECT_FALSE(ed25519_public(Secret("short")));
}

}  // namespace
}  // namespace gatehouse::wire
