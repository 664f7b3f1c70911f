// SPDX-License-Identifier: Apache-2.0
// What is taken for a SPIFFE ID is one, comes apart into what it was made of, and means itself.
// What is a certificate is read without harm.
#include <openssl/x509.h>

#include "base/check.h"
#include "net/spiffe.h"

using gatehouse::net::SpiffeId;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto id = SpiffeId::parse(text)) {
    CHECK(id->text() == text && text.size() <= SpiffeId::kMost);
    CHECK("spiffe://" + std::string(id->trust_domain()) + std::string(id->path()) == text);
    CHECK(text.find("//", 9) == std::string_view::npos);
    CHECK(!text.ends_with('/') && !text.contains('%'));
    CHECK(id->covers(*id));
    const auto domain = SpiffeId::parse("spiffe://" + std::string(id->trust_domain()));
    CHECK(domain && domain->covers(*id) && (id->path().empty() || !id->covers(*domain)));
  }
  const std::uint8_t* at = data;
  if (X509* certificate = d2i_X509(nullptr, &at, static_cast<long>(size))) {
    const auto id = gatehouse::net::spiffe_id_of(certificate);
    CHECK(!id || !id->path().empty());
    X509_free(certificate);
  }
  return 0;
}
