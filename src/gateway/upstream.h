// SPDX-License-Identifier: Apache-2.0
// Upstream: connections to where services live. Names are looked up once per connection, every
// address is checked, and exactly the checked one is dialled. Strict custody (an egress process
// that owns upstream TLS) is another implementation of this type.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "ipc/snapshot.h"
#include "net/resolve.h"
#include "net/tls.h"

namespace gatehouse::gateway {

// Where to dial. Connections are shared among Exchanges that agree in all of it.
struct Destination {
  std::string host;
  std::uint16_t port = 0;
  bool tls = false;
  std::string ca_pem;
  bool allow_private = false;
  [[nodiscard]] std::string key() const;
};

class Upstreams {
 public:
  Upstreams(net::Loop& loop, net::Resolver& resolver) : loop_(loop), resolver_(resolver) {}

  struct Connection {
    std::unique_ptr<net::Stream> stream;
    std::string key;
    bool reused = false;
  };
  // An idle connection that is still alive, or a new one. Errors: kDenied (the address is private,
  // link-local or a cloud's metadata service), kUnreachable, kTimeout, kUpstream (TLS).
  [[nodiscard]] net::Task<Result<Connection>> acquire(Destination to, Deadline deadline);
  // A new one in any case. Errors: the same.
  [[nodiscard]] net::Task<Result<Connection>> acquire_new(Destination to, Deadline deadline);
  // Takes back a connection whose last response was read to its end.
  void release(Connection connection);
  [[nodiscard]] std::size_t idle() const;

 private:
  struct Idle {
    std::unique_ptr<net::Stream> stream;
    Instant until;
  };
  net::Task<Result<std::unique_ptr<net::Stream>>> dial(const Destination& to, Deadline deadline);

  net::Loop& loop_;
  net::Resolver& resolver_;
  std::unordered_map<std::string, std::deque<Idle>> idle_;
  std::unordered_map<std::string, std::unique_ptr<net::TlsClient>> tls_;  // by trust anchors
};

}  // namespace gatehouse::gateway
