// SPDX-License-Identifier: Apache-2.0
// AWS Signature Version 4, in its two halves: the canonical request, which whoever sends it makes,
// and the signature over it, which whoever holds the key makes.
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace gatehouse::wire {

inline constexpr std::size_t kMaxCanonicalRequest = 32 * 1024;

// 20150830T123600Z.
[[nodiscard]] std::string sigv4_date(std::int64_t unix_seconds);

// What a signature is over. `path` and `query` (with its '?', or empty) are as they are sent;
// `headers` are those that are signed, `host` and `x-amz-date` among them, by any order and case.
[[nodiscard]] std::string sigv4_canonical_request(
    std::string_view method, std::string_view path, std::string_view query,
    std::vector<std::pair<std::string, std::string>> headers, std::string_view body);

// A canonical request as its signer reads it, who made none of it: a view of it.
struct SigV4Request {
  std::string_view method;
  std::string_view host;
  std::string_view date;
  std::string_view signed_headers;  // host;x-amz-date
  std::int64_t date_unix_s = 0;

  // Errors: kInvalid for what is none: other lines, headers that are not sorted or not those that
  // it says are signed, no host, no date, no hash of a body; kTooLarge above 32 KiB.
  [[nodiscard]] static Result<SigV4Request> parse(std::string_view canonical);
};

// The value of `authorization` for a canonical request, by a key pair `ACCESS_KEY_ID:SECRET`.
// Errors: kInvalid for no canonical request; kCorrupt for no key pair.
[[nodiscard]] Result<std::string> sigv4_authorization(const Secret& key_pair,
                                                      std::string_view region,
                                                      std::string_view service,
                                                      std::string_view canonical);

}  // namespace gatehouse::wire
