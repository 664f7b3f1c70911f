// SPDX-License-Identifier: Apache-2.0
// What an OpenID Connect issuer answers to a native application, read: its endpoints (Discovery 1.0
// section 4), a token (RFC 6749 section 5), a device code (RFC 8628 section 3.2). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace gatehouse::cli {

struct Endpoints {
  std::string authorization;
  std::string token;
  std::string device;  // "": it has none
};
// Errors: kUpstream (no JSON object, or another issuer's).
[[nodiscard]] Result<Endpoints> parse_endpoints(std::string_view issuer, int status,
                                                std::string_view body);

// The ID token, or what the error is.
struct IssuerToken {
  Secret id_token;
  std::string error;
  std::string description;
};
// Errors: kUpstream (no JSON object).
[[nodiscard]] Result<IssuerToken> parse_issuer_token(int status, std::string_view body);

struct DeviceCode {
  std::string device_code;
  std::string user_code;
  std::string link;             // with the code in it, where the issuer gives one
  std::int64_t interval_s = 0;  // between two questions, within bounds
  std::int64_t expires_s = 0;   // from now, within bounds
};
inline constexpr std::int64_t kDevicePauseUsual_s = 5;  // RFC 8628 section 3.2
inline constexpr std::int64_t kDevicePauseMost_s = 60;
inline constexpr std::int64_t kDeviceMost_s = 1800;
// Errors: kDenied with the issuer's `error`.
[[nodiscard]] Result<DeviceCode> parse_device_code(int status, std::string_view body);

}  // namespace gatehouse::cli
