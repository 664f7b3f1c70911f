// SPDX-License-Identifier: Apache-2.0
// What control tells the exporter: where spans go, and whether there is an access log.
#pragma once

#include <string>
#include <vector>

#include "base/secret.h"
#include "ipc/message.h"
#include "ipc/network.h"

namespace gatehouse::ipc {

struct ResourceAttribute {
  std::string key;
  std::string value;
  template <class F>
  void fields(F& f) {
    f(key, value);
  }
};

// Control -> exporter. In the place of what was told before.
struct UseTelemetry {
  static constexpr MessageType kType = 0x0902;
  using Reply = Done;
  std::string url;             // of the collector, for traces; "" for none
  std::string ca_pem;          // trust anchors beside the house's and the system's
  bool allow_private = false;  // the collector may be at a private address, or loopback
  Secret headers;              // further lines of a request's head, each with its CRLF
  std::vector<ResourceAttribute> resource;
  bool writes_access_log = false;  // into the descriptor that the supervisor gives
  NetworkSpec network;
  Secret proxy_authorization;  // empty for none
  template <class F>
  void fields(F& f) {
    f(url, ca_pem, allow_private, headers, resource, writes_access_log, network,
      proxy_authorization);
  }
};

}  // namespace gatehouse::ipc
