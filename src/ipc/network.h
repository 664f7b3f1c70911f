// SPDX-License-Identifier: Apache-2.0
// How the house reaches the world, which control tells to those that dial: the gateways (in their
// Snapshot) and the courier (with its endpoints). It holds no secret: the proxy's credentials come
// apart.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "ipc/message.h"
#include "wire/address.h"

namespace gatehouse::ipc {

struct NetworkSpec {
  std::string proxy_host;  // a name or an IP literal without brackets; "" for no proxy
  std::uint16_t proxy_port = 0;
  bool proxy_wants_credentials = false;  // nothing is dialled before they have come
  bool proxy_resolves = false;           // it is sent names; else addresses that were checked here
  // What is dialled without the proxy: exact hosts, "*.example.com" for what is below it, addresses
  // and prefixes of addresses ("10.0.0.0/8").
  std::vector<std::string> no_proxy;
  std::string extra_ca_pem;  // trust anchors of every TLS connection, beside the system's; at most
                             // kExtraCaMost
  template <class F>
  void fields(F& f) {
    f(proxy_host, proxy_port, proxy_wants_credentials, proxy_resolves, no_proxy, extra_ca_pem);
  }
  friend bool operator==(const NetworkSpec&, const NetworkSpec&) = default;
};
// "host:port" of its proxy; "" for none.
[[nodiscard]] std::string proxy_of(const NetworkSpec& network);
// Whether `text` may stand in NetworkSpec::no_proxy.
[[nodiscard]] bool is_no_proxy(std::string_view text);
// Whether no_proxy has that address, or a prefix of it.
[[nodiscard]] bool is_named(const NetworkSpec& network, const wire::IpAddress& address);
// Whether `host` (a name, or an IP literal without brackets) is dialled without the proxy by its
// name or literal alone. Loopback always is: the proxy's loopback is another machine's.
[[nodiscard]] bool is_direct(const NetworkSpec& network, const std::string& host);

inline constexpr std::size_t kExtraCaMost = 32 * 1024;  // bytes: it must fit a message with more

// Control -> gateway, before the Snapshot whose proxy wants them.
struct UseProxyCredentials {
  static constexpr MessageType kType = 0x0802;
  using Reply = Done;
  Secret authorization;  // the value of Proxy-Authorization
  std::string proxy;     // whom it is for, as proxy_of has it
  template <class F>
  void fields(F& f) {
    f(authorization, proxy);
  }
};

}  // namespace gatehouse::ipc
