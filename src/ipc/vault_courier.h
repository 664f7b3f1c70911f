// SPDX-License-Identifier: Apache-2.0
// The vault's network half: one POST of a form to one endpoint, one answer. Control tells the
// courier which endpoints exist; a request for any other is refused, whoever asks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/secret.h"
#include "ipc/message.h"
#include "ipc/network.h"

namespace gatehouse::ipc {

struct Posted {
  static constexpr MessageType kType = 0x0311;
  std::int32_t status = 0;
  Secret body;                    // at most 48 KiB
  std::int64_t date_unix_ms = 0;  // the server's Date, 0 if absent
  std::int64_t retry_after_ms = 0;
  template <class F>
  void fields(F& f) {
    f(status, body, date_unix_ms, retry_after_ms);
  }
};

// POST application/x-www-form-urlencoded. Never follows a redirect. Errors: kDenied (endpoint not
// registered), kUnreachable (surely not sent), kUpstream or kTimeout (may have been acted on).
struct Post {
  static constexpr MessageType kType = 0x0301;
  using Reply = Posted;
  std::string url;
  Secret form;
  Secret authorization;     // header value, empty for none
  std::string traceparent;  // "" for none
  template <class F>
  void fields(F& f) {
    f(url, form, authorization, traceparent);
  }
};

struct RegisteredEndpoint {
  std::string url;
  std::string ca_pem;          // additional trust anchors
  bool allow_private = false;  // loopback and private addresses; http is allowed on loopback only
  template <class F>
  void fields(F& f) {
    f(url, ca_pem, allow_private);
  }
};
// Control -> courier. Replaces the list.
struct PublishEndpoints {
  static constexpr MessageType kType = 0x0302;
  using Reply = Done;
  std::vector<RegisteredEndpoint> endpoints;
  NetworkSpec network;
  Secret proxy_authorization;  // empty for none
  template <class F>
  void fields(F& f) {
    f(endpoints, network, proxy_authorization);
  }
};

}  // namespace gatehouse::ipc
