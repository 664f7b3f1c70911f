// SPDX-License-Identifier: Apache-2.0
// Tokens, key sets and discovery documents as whoever likes sends them: a token counts only as an
// issuer signed it. The input is a token and a key set, a line each; and, by its first two bytes,
// what is changed in a token that is good.
#include "base/check.h"
#include "base/encoding.h"
#include "control/issuers.h"
#include "control/test_signer.h"
#include "control/token.h"
#include "wire/signature.h"

using namespace gatehouse;
using namespace gatehouse::control;

namespace {

constexpr std::string_view kIssuer = "https://i.example";

struct Good {
  std::vector<wire::Jwk> keys;
  std::vector<std::string> tokens;
};
const Good& good() {
  static const Good made = [] {
    const Signer p256 = Signer::p256();
    const Signer ed25519 = Signer::ed25519();
    const std::string claims = R"({"iss":"https://i.example","sub":"s","aud":"a","exp":2000})";
    return Good{{p256.jwk, ed25519.jwk}, {p256.sign(claims), ed25519.sign(claims)}};
  }();
  return made;
}

// Base64url of a number of bytes that is no multiple of three has bits in its last letter that mean
// nothing; the reader refuses all but zeros, so that no other text is the same token.
void check_changed(std::uint8_t at, std::uint8_t to) {
  for (const std::string& token : good().tokens) {
    std::string changed = token;
    changed[at % changed.size()] = static_cast<char>(to);
    const auto read = wire::parse_jwt(changed);
    if (read && wire::verify_signature(*read, good().keys)) CHECK(changed == token);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (size >= 2) check_changed(data[0], data[1]);
  const Issuer issuer{"acme", "corp", std::string(kIssuer), "", {}, "", "", false};
  (void)parse_discovery(issuer, text);
  const std::size_t line = text.find('\n');
  const auto token = wire::parse_jwt(text.substr(0, line));
  if (!token) return 0;
  const WallTime now(1000LL * 1'000'000'000);
  if (check_claims(*token, kIssuer, now)) CHECK(token->issuer == kIssuer && token->expires);
  CHECK(!wire::verify_signature(*token, good().keys));
  CHECK(!wire::verify_signature(*token, {}));
  const auto keys = line == std::string_view::npos ? failure(Error::kInvalid, "")
                                                   : wire::parse_jwks(text.substr(line + 1));
  if (!keys) return 0;
  if (wire::verify_signature(*token, *keys)) CHECK(!keys->empty() && !token->signature.empty());
  return 0;
}
