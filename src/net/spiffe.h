// SPDX-License-Identifier: Apache-2.0
// SPIFFE IDs, and the certificates that say them (X509-SVID): how a workload is known by what it is
// instead of by the host that it is at. Strict: what the SPIFFE specifications forbid is refused.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

struct x509_st;  // OpenSSL's X509

namespace gatehouse::net {

// `spiffe://TRUST-DOMAIN/PATH` (SPIFFE-ID section 2).
class SpiffeId {
 public:
  static constexpr std::size_t kMost = 2048;            // bytes (section 2.3)
  static constexpr std::size_t kTrustDomainMost = 255;  // the same

  // Errors: kInvalid, with what is wrong.
  [[nodiscard]] static Result<SpiffeId> parse(std::string_view text);

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] std::string_view trust_domain() const;
  // "" of a trust domain's own, else with its leading slash.
  [[nodiscard]] std::string_view path() const;
  // Whether `other` is meant by this: the same one, or any of the trust domain that this is.
  [[nodiscard]] bool covers(const SpiffeId& other) const;

 private:
  explicit SpiffeId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// Of a leaf whose chain was verified already. Errors: kUpstream where it is no X509-SVID of a
// workload (X509-SVID sections 2, 4 and 5.2): not exactly one URI among its names, one that is no
// SPIFFE ID with a path, a certificate that may sign others, or one whose key may not sign.
[[nodiscard]] Result<SpiffeId> spiffe_id_of(const x509_st* certificate);

}  // namespace gatehouse::net
