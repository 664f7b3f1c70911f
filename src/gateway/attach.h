// SPDX-License-Identifier: Apache-2.0
// Attach: how an agent outside of a sandbox comes in. One TLS 1.3 listener of all gateways, an HTTP
// proxy to its clients. A client shows a certificate of its own making and, as
// `Proxy-Authorization: Bearer`, a run token that is bound to it (wire/run_token.h). From then on
// its connection is one at its Run's Door, until the token is over: what is under way then goes on,
// nothing new begins.
//
// Whoever reaches the port may try; what they can hold before they are let in is bounded.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string_view>

#include "gateway/client.h"
#include "ipc/control_gateway.h"
#include "net/nursery.h"
#include "net/tls.h"
#include "wire/run_token.h"

namespace gatehouse::gateway {

class Gate;
struct Door;

// Why somebody is not let in, or not any more.
struct Refused {
  std::string_view label;  // for a counter and as the rule: "expired"
  Error error;
  std::optional<wire::RunToken> signed_as;  // whose the token is, if it is one of control's
};

// So many in a second, and no more until the next.
class PerSecond {
 public:
  explicit PerSecond(std::uint32_t most) : most_(most) {}
  [[nodiscard]] bool take(Instant now);

 private:
  std::uint32_t most_;
  std::uint32_t taken_ = 0;
  std::optional<Instant> since_;
};

class Attach {
 public:
  static constexpr std::size_t kStrangersMost = 256;  // connections that are not let in yet
  static constexpr std::uint32_t kRecordedMost = 20;  // refusals on record in a second

  explicit Attach(Gate& gate);

  // So long it goes on at the listener before, for who is on the way there.
  static constexpr Nanos kLeavesAfter = std::chrono::seconds(1);

  // Accepts there instead of at an earlier one, once there is an identity to do it with.
  void listen(net::Descriptor listener);
  // In the place of an earlier one; handshakes under way go on with that. Errors: kInvalid.
  [[nodiscard]] net::Task<Result<ipc::Done>> use(ipc::UseAttachIdentity identity);

  // Counts a refusal and puts it on record; of a flood only so many a second.
  void refused(const Client& client, const Refused& why);
  void add_counters(ipc::CounterList& list) const;

 private:
  void begin();
  net::Task<void> accept_all(std::shared_ptr<net::Listener> listener, Deadline until);
  net::Task<void> admit(std::unique_ptr<net::Stream> socket);

  Gate& gate_;
  net::Descriptor given_;  // until there is an identity
  std::shared_ptr<net::Listener> listener_;
  std::shared_ptr<net::TlsServer> server_;
  std::uint64_t handshakes_failed_ = 0;
  std::uint64_t turned_away_ = 0;  // too many at a time
  std::map<std::string_view, std::uint64_t> refused_;
  std::uint64_t unrecorded_ = 0;  // refusals since the last on record
  std::uint64_t unrecorded_ever_ = 0;
  PerSecond records_{kRecordedMost};
  net::Nursery tasks_;  // of who is not let in yet
  net::Nursery accepting_;
  net::Nursery retiring_;
};

// Whether another request on a connection that was let in may begin, by the token that it brings or
// by the one before; what it brought is taken out of its head.
[[nodiscard]] std::expected<void, Refused> admitted_again(Gate& gate, Door& door, Client& client,
                                                          wire::RequestHead& head);
// Says so, counts it, puts it on record and ends the connection. `door` is null for nobody's.
[[nodiscard]] net::Task<void> refuse_token(Gate& gate, Client& client, const Door* door,
                                           Refused why);

}  // namespace gatehouse::gateway
