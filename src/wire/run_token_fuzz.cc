// SPDX-License-Identifier: Apache-2.0
// Any bytes as a run token, and any claims as one that is signed: what is accepted is bound to the
// certificate and of the time that it is accepted with.
#include "base/check.h"
#include "base/encoding.h"
#include "wire/run_token.h"
#include "wire/signature.h"

using namespace gatehouse;

namespace {

const Secret& seed() {
  static const Secret kSeed(std::string(wire::kEd25519Bytes, 's'));
  return kSeed;
}

void try_token(std::string_view text, const std::vector<wire::Jwk>& keys) {
  const std::string thumbprint(wire::kThumbprintBytes, 't');
  const WallTime now(1'000'000'000'000'000'000);
  const auto token = wire::verified_run_token(text, keys, thumbprint, now);
  if (token) {
    CHECK(text.size() <= wire::kRunTokenMost);
    CHECK(token->thumbprint == thumbprint && token->expires_unix_s > now.unix_seconds());
    CHECK(!token->tenant.empty() && !token->id.empty());
  } else {
    CHECK(!wire::label(token.error().fault).empty() && !token.error().why.empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  static const std::string kPublic = *wire::ed25519_public(seed());
  static const std::vector<wire::Jwk> kKeys = {
      {wire::Jwk::Type::kEd25519, wire::ed25519_key_id(kPublic), "EdDSA", "", "", kPublic, ""}};
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try_token(bytes, kKeys);
  if (const auto thumbprint = wire::parse_thumbprint(bytes)) {
    CHECK(thumbprint->size() == wire::kThumbprintBytes && to_base64url(*thumbprint) == bytes);
  }
  const std::string header =
      R"({"alg":"EdDSA","typ":"at+jwt","kid":")" + kKeys.front().key_id + R"("})";
  std::string made = to_base64url(header) + "." + to_base64url(bytes);
  made += "." + to_base64url(*wire::ed25519_signature(seed(), made));
  try_token(made, kKeys);
  return 0;
}
