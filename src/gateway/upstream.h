// SPDX-License-Identifier: Apache-2.0
// Upstream: exchanges with where services live, and the connections that carry them, kept for the
// next; egress/egress.h dials them. Strict custody (an egress process that owns upstream TLS) is
// another implementation of Upstreams.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/secret.h"
#include "egress/egress.h"
#include "gateway/message.h"
#include "ipc/snapshot.h"
#include "wire/http1.h"

namespace gatehouse::gateway {

// Where to dial. Connections are shared among Exchanges that agree in all of it.
using Destination = egress::Target;

// A field of which the value is a credential. It is wiped with the object.
struct SecretField {
  SecretField() = default;
  // `value` has room for that many bytes: until it has more, it leaves no copies behind.
  SecretField(std::string of, std::size_t room) : name(std::move(of)) {
    value.reserve(std::max(room, kApart));
  }
  SecretField(SecretField&&) = default;
  SecretField& operator=(SecretField&&) = delete;
  ~SecretField() { wipe({value.data(), value.size()}); }

  std::string name;  // empty: there is none
  std::string value;

 private:
  static constexpr std::size_t kApart = 64;  // not inside of the string object, which moves
};

// One request to an upstream and its answer. Destroying one that is not over cancels it.
class UpstreamExchange {
 public:
  struct Head {
    wire::ResponseHead response;
    wire::BodyFraming body;  // kNone, kLength, or another kind: a length that is not known yet
  };

  UpstreamExchange() = default;
  UpstreamExchange(const UpstreamExchange&) = delete;
  UpstreamExchange& operator=(const UpstreamExchange&) = delete;
  virtual ~UpstreamExchange() = default;

  // Puts the head of the request; it leaves with what comes behind it. The framing is that of
  // `head`: kNone, kLength or kChunked (a length that is not known yet); its fields hold none.
  // Errors: kInvalid.
  [[nodiscard]] virtual Result<void> begin(wire::RequestHead head, const SecretField& secret) = 0;
  [[nodiscard]] virtual MessageOut& request() = 0;

  // The answer's head, once it is whole; interim answers but 101 are left out. Where it is not,
  // `answer().more` waits. Errors: kInvalid, kTooLarge, kTooMany for what is no HTTP.
  [[nodiscard]] virtual Result<std::optional<Head>> head() = 0;
  [[nodiscard]] virtual MessageIn& answer() = 0;
  // Whether a byte of an answer has come.
  [[nodiscard]] virtual bool has_spoken() const = 0;
  // Whether the connection may have been closed by the upstream just when it was used again.
  [[nodiscard]] virtual bool is_on_kept_connection() const = 0;

  // The answer was read to its end: what carried it may carry others.
  virtual void release() = 0;
};

class Upstreams {
 public:
  Upstreams(net::Loop& loop, net::Resolver& resolver) : loop_(loop), egress_(loop, resolver) {}

  // How the world is reached from now on; no connection made otherwise is used again.
  void use(const ipc::NetworkSpec& network);
  void use_credentials(Secret authorization, std::string proxy) {
    egress_.use_credentials(std::move(authorization), std::move(proxy));
  }

  enum class Reuse : std::uint8_t { kAllowed, kNever };
  // An exchange over a connection that is kept or new. Errors: those of Dialer::dial.
  [[nodiscard]] net::Task<Result<std::unique_ptr<UpstreamExchange>>> begin(Destination to,
                                                                           Reuse reuse,
                                                                           Deadline deadline);

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
