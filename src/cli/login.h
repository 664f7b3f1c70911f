// SPDX-License-Identifier: Apache-2.0
// A login at an OpenID Connect issuer, as a native application does it: by the browser and a
// loopback redirect with PKCE (RFC 8252, RFC 7636), or by a code that is typed in elsewhere (RFC
// 8628).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace gatehouse::cli {

struct Login {
  std::string issuer;  // its URL
  std::string client_id;
  std::vector<std::string> scopes;  // beside openid
  std::string ca_pem;
};

struct IdToken {
  Secret text;
  std::string nonce;  // that it must hold; "" for none
};

// Shows a link to the person, and a code to type there if there is one.
using ShowLink = std::function<void(const std::string& url, const std::string& code)>;

// Errors: kUnsupported when the issuer does not offer this; kDenied when the person or the issuer
// says no; kTimeout; kUpstream, kUnreachable.
[[nodiscard]] Result<IdToken> login_by_browser(const Login& login, const ShowLink& show);
[[nodiscard]] Result<IdToken> login_by_device(const Login& login, const ShowLink& show);

}  // namespace gatehouse::cli
