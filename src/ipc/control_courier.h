// SPDX-License-Identifier: Apache-2.0
// Control has no network: what it must know of OpenID Connect issuers, the courier fetches. Public
// documents only; no message here can carry a secret.
#pragma once

#include <cstdint>
#include <string>

#include "ipc/vault_courier.h"

namespace gatehouse::ipc {

struct Fetched {
  static constexpr MessageType kType = 0x0313;
  std::int32_t status = 0;
  std::string body;  // at most 48 KiB
  template <class F>
  void fields(F& f) {
    f(status, body);
  }
};

// GET of a JSON document. Never follows a redirect. Errors: kDenied (an address where no issuer may
// be, or in the clear to another host than loopback), kUnreachable, kUpstream, kTimeout.
struct Fetch {
  static constexpr MessageType kType = 0x0303;
  using Reply = Fetched;
  RegisteredEndpoint at;
  template <class F>
  void fields(F& f) {
    f(at);
  }
};

}  // namespace gatehouse::ipc
