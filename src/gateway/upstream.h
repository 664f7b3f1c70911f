// SPDX-License-Identifier: Apache-2.0
// Upstream: connections to where services live, kept for the next Exchange; egress/egress.h dials
// them. Strict custody (an egress process that owns upstream TLS) is another implementation of
// this type.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "egress/egress.h"
#include "ipc/snapshot.h"

namespace gatehouse::gateway {

// Where to dial. Connections are shared among Exchanges that agree in all of it.
using Destination = egress::Target;

class Upstreams {
 public:
  Upstreams(net::Loop& loop, net::Resolver& resolver) : loop_(loop), egress_(loop, resolver) {}

  // How the world is reached from now on; no connection made otherwise is used again.
  void use(const ipc::NetworkSpec& network);
  void use_credentials(Secret authorization, std::string proxy) {
    egress_.use_credentials(std::move(authorization), std::move(proxy));
  }

  struct Connection {
    std::unique_ptr<net::Stream> stream;
    std::string key;
    bool reused = false;
  };
  // An idle connection that is still alive, or a new one. Errors: those of Dialer::dial.
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
  [[nodiscard]] std::string key_of(const Destination& to) const;

  net::Loop& loop_;
  egress::Dialer egress_;
  std::uint64_t networks_ = 0;  // how many there were: a part of each connection's key
  std::unordered_map<std::string, std::deque<Idle>> idle_;
};

}  // namespace gatehouse::gateway
