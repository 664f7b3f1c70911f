// SPDX-License-Identifier: Apache-2.0
// Upstream: exchanges with where services live, and the connections that carry them, kept for the
// next; egress/egress.h dials them. Strict custody (an egress process that owns upstream TLS) is
// another implementation of Upstreams.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/secret.h"
#include "egress/egress.h"
#include "gateway/idle_connections.h"
#include "gateway/message.h"
#include "ipc/control_gateway.h"
#include "ipc/snapshot.h"
#include "wire/http1.h"

namespace gatehouse::gateway {

class Http2Link;

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

struct RawConnection;

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
  // Of one that failed: it is certain that the upstream has not begun with the request and never
  // will, because it said so or because nothing of it was sent. Whatever its method, it may go
  // again, and where that is wanted on another connection (RFC 9113 section 8.7).
  [[nodiscard]] virtual bool was_not_processed() const { return false; }

  // The answer was 101: the connection, which is the new protocol's as long as this lives. One of
  // HTTP/2 changes to none.
  [[nodiscard]] virtual RawConnection switched();
  // The answer was read to its end: what carried it may carry others.
  virtual void release() = 0;
};

class Upstreams {
 public:
  Upstreams(net::Loop& loop, net::Resolver& resolver);
  ~Upstreams();

  // How the world is reached from now on; no connection made otherwise is used again.
  void use(const ipc::NetworkSpec& network);
  void use_credentials(Secret authorization, std::string proxy) {
    egress_.use_credentials(std::move(authorization), std::move(proxy));
  }

  // Who we are to a service's upstream from now on. Errors: kInvalid for what is no certificate and
  // its key.
  [[nodiscard]] Result<void> use(ipc::UseClientIdentity identity);
  // Those of other services are forgotten.
  void keep_identities(const std::vector<ipc::ServiceSpec>& services);
  // Where a service lives, and who we are there. Errors: kUnreachable while that is not known.
  [[nodiscard]] Result<Destination> destination_of(const ipc::ServiceSpec& service) const;

  enum class Reuse : std::uint8_t { kAllowed, kNever };
  // An exchange over a connection that is kept or new: of HTTP/2 where `to` allows it and the
  // upstream speaks it, shared with others. Errors: those of Dialer::dial.
  [[nodiscard]] net::Task<Result<std::unique_ptr<UpstreamExchange>>> begin(Destination to,
                                                                           Reuse reuse,
                                                                           Deadline deadline);

  // What of connections there was since the beginning, and is now.
  struct Pool {
    std::uint64_t made = 0;
    std::uint64_t failed = 0;  // to be made
    std::uint64_t reused = 0;  // of HTTP/1.1, for one exchange more
    std::uint64_t in_use = 0;  // now, of HTTP/1.1 and tunnels
  };
  [[nodiscard]] const Pool& pool() const { return pool_; }

  // One that is in use, as long as this lives. The pool outlives it.
  class InUse {
   public:
    explicit InUse(Pool& pool) : pool_(&pool) { ++pool.in_use; }
    InUse(InUse&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)) {}
    InUse& operator=(InUse&&) = delete;
    ~InUse() {
      if (pool_ != nullptr) --pool_->in_use;
    }

   private:
    Pool* pool_;
  };
  struct Connection {
    std::unique_ptr<net::Stream> stream;
    std::string key;
    bool reused;
    bool speaks_http2;
    InUse in_use;
  };
  // A new one. Errors: those of Dialer::dial.
  [[nodiscard]] net::Task<Result<Connection>> acquire_new(Destination to, Deadline deadline);
  // Takes back a connection whose last response was read to its end.
  void release(Connection connection);
  [[nodiscard]] std::size_t idle() const { return idle_.size(); }
  // Connections of HTTP/2 that are open.
  [[nodiscard]] std::size_t links() const;
  // Whether the upstream was found to speak HTTP/2, or not to; nothing where it is not known yet.
  [[nodiscard]] std::optional<bool> speaks_http2(const Destination& to) const;

 private:
  class Dialling;
  [[nodiscard]] std::string key_of(const Destination& to) const;
  void forget_connections();
  // Whether it was made for the network that is in force.
  [[nodiscard]] bool is_of_now(const std::string& key) const;
  [[nodiscard]] std::shared_ptr<Http2Link> link_with_room(const std::string& key);
  [[nodiscard]] net::Task<Result<std::unique_ptr<UpstreamExchange>>> begin_on_new(
      Destination to, std::string key, Reuse reuse, Deadline deadline);
  // One that is kept, where that may be, or a new one.
  [[nodiscard]] net::Task<Result<Connection>> acquire(Destination to, std::string key, Reuse reuse,
                                                      Deadline deadline);
  [[nodiscard]] std::optional<bool> known_to_speak_http2(const std::string& key) const;
  void learn(const std::string& key, bool speaks_http2);

  net::Loop& loop_;
  egress::Dialer egress_;
  std::uint64_t networks_ = 0;   // how many there were, and identities
  std::string network_ = "0\n";  // the same, as each connection's key begins
  Pool pool_;
  IdleConnections idle_;
  std::unordered_map<std::string, std::vector<std::shared_ptr<Http2Link>>> links_;
  std::unordered_map<std::string, std::shared_ptr<net::Event>> dialling_;  // a link, for others too
  std::unordered_map<std::string, bool> spoken_;  // by key: whether it is HTTP/2
  std::unordered_map<std::string, std::shared_ptr<const egress::Identity>> identities_;
  std::uint64_t identities_made_ = 0;
};

}  // namespace gatehouse::gateway
