// SPDX-License-Identifier: Apache-2.0
// What comes before HTTP can be read: CONNECT to the explicit proxy, and connections that were
// captured on their way somewhere. Both end in `serve_requests` (intercepted or plain), in a tunnel
// that a rule allows by name, or in a refusal.
#pragma once

#include <optional>

#include "gateway/client.h"
#include "gateway/gate.h"
#include "gateway/refusal.h"
#include "wire/url.h"

namespace gatehouse::gateway {

// What is known of a connection's destination before its requests are read.
struct Place {
  Entrance entrance = Entrance::kProxy;
  std::optional<wire::Host> host;  // fixed by CONNECT or by the captured address
  // Where only the address was captured: what the request names must be what it stands for.
  std::optional<wire::IpAddress> address;
  std::uint16_t port = 0;
  bool tls = false;  // intercepted
};

// How who asked for a tunnel hears of it.
class Connecting {
 public:
  Connecting() = default;
  Connecting(const Connecting&) = delete;
  Connecting& operator=(const Connecting&) = delete;
  virtual ~Connecting() = default;
  // From now on the client's stream is the tunnel's. Errors: kTimeout, kClosed.
  [[nodiscard]] virtual net::Task<Result<void>> established() = 0;
  // There is none, and this is why.
  [[nodiscard]] virtual net::Task<void> refuse(Refusal refusal) = 0;
};

// What CONNECT asks for, by HTTP/1.1 or as `asked` has it. None of these is inlined: its frame
// would be a part of that of each connection, also of those that are served otherwise.
[[nodiscard, gnu::noinline]] net::Task<void> serve_connect(Gate& gate, Door& door, Client& client,
                                                           wire::RequestHead head);
[[nodiscard, gnu::noinline]] net::Task<void> serve_connect(Gate& gate, Door& door, Client& client,
                                                           wire::RequestHead head,
                                                           Connecting& asked);
[[nodiscard, gnu::noinline]] net::Task<void> serve_captured(Gate& gate, Door& door, Client& client);
// The HTTP requests of a connection, one after another.
[[nodiscard]] net::Task<void> serve_requests(Gate& gate, Door& door, Client& client, Place place);

}  // namespace gatehouse::gateway
