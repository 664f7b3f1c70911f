// SPDX-License-Identifier: Apache-2.0
// The loopback end of an OAuth authorization (RFC 8252 section 7.3): a port of 127.0.0.1 that waits
// for one redirect and answers the browser with a plain page.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "net/descriptor.h"

namespace gatehouse::cli {

struct Redirect {
  Secret code;
  std::string issuer;  // `iss` (RFC 9207), "" if absent
};

// The redirect in the target of a request: `/callback?code=...&state=...`. Errors: kNotFound for
// another path, kInvalid for another state or none, kDenied with the server's `error`.
[[nodiscard]] Result<Redirect> parse_redirect(std::string_view target, std::string_view state);

class RedirectListener {
 public:
  [[nodiscard]] static Result<RedirectListener> open();
  [[nodiscard]] std::string uri() const;
  // Answers what comes until the redirect with this state does. Errors: kTimeout after ten
  // minutes; kDenied.
  [[nodiscard]] Result<Redirect> wait(std::string_view state);

 private:
  RedirectListener(net::Descriptor socket, int port) : socket_(std::move(socket)), port_(port) {}
  net::Descriptor socket_;
  int port_;
};

}  // namespace gatehouse::cli
