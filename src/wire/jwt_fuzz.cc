// SPDX-License-Identifier: Apache-2.0
// Any bytes as a token and as a key set: what is accepted is within its bounds, and signed by what
// it was made of.
#include "base/check.h"
#include "base/encoding.h"
#include "wire/jwt.h"

using namespace gatehouse;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto jwt = wire::parse_jwt(text)) {
    CHECK(jwt->signing_input + "." + to_base64url(jwt->signature) == text);
    CHECK(jwt->claims.starts_with('{') || !jwt->claims.empty());
    static_cast<void>(jwt->strings("groups"));
  }
  if (const auto keys = wire::parse_jwks(text)) {
    CHECK(keys->size() <= wire::kJwkMost);
    for (const wire::Jwk& key : *keys) {
      CHECK(key.type == wire::Jwk::Type::kRsa ? !key.n.empty() : key.x.size() == 32);
    }
  }
  return 0;
}
