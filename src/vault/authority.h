// SPDX-License-Identifier: Apache-2.0
// Interception certificates: one CA key (P-256) per tenant, sealed in the store; leaves of 24 hours
// at the most, for one host each.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace gatehouse::vault {

struct Authority {
  std::string certificate_pem;
  Secret key_pem;
};
// A new CA, valid for five years, whose subject names the tenant.
[[nodiscard]] Result<Authority> make_authority(const std::string& tenant);
// Both PEMs in one text, as they are sealed, and back.
[[nodiscard]] Secret authority_text(const Authority& authority);
[[nodiscard]] Result<Authority> parse_authority(const Secret& text);

struct LeafCertificate {
  std::string chain_pem;  // the leaf, then the CA
  Secret key_pem;
  std::int64_t not_after_unix_s = 0;
};
// `host` is a DNS name or an IP literal in lower case. Errors: kInvalid.
[[nodiscard]] Result<LeafCertificate> issue_leaf(const Authority& authority,
                                                 const std::string& host);

}  // namespace gatehouse::vault
