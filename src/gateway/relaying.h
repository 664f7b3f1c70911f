// SPDX-License-Identifier: Apache-2.0
// Relaying: what RELAY has of one Exchange for as long as its answer streams, which may be for
// hours and thousands at a time: what only its beginning needs is not here (asking.h), and is gone
// by then.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "gateway/exchange.h"
#include "gateway/reading.h"
#include "net/nursery.h"

namespace gatehouse::gateway {

inline constexpr std::size_t kAtHandMost = 64 * 1024;              // of what waits to be sent
inline constexpr Nanos kPeerTakesMost = std::chrono::seconds(30);  // from when it takes nothing
inline constexpr Nanos kDurableMost = 250ms;

// Ends the Lease on every path.
class LeaseGuard {
 public:
  LeaseGuard(Gate& gate, LeaseId lease) : gate_(gate), lease_(lease) {}
  LeaseGuard(const LeaseGuard&) = delete;
  LeaseGuard& operator=(const LeaseGuard&) = delete;
  ~LeaseGuard() { end(); }
  void replace(LeaseId lease) {
    end();
    lease_ = lease;
  }

 private:
  void end() {
    if (lease_ != ipc::no_lease()) gate_.end_lease_soon(lease_);
  }
  Gate& gate_;
  LeaseId lease_;
};

class Relaying {
 public:
  explicit Relaying(Leased of);
  Relaying(const Relaying&) = delete;
  Relaying& operator=(const Relaying&) = delete;

  [[nodiscard]] Gate& gate() const { return *leased->gate; }
  [[nodiscard]] Caller& caller() const { return *leased->caller; }
  [[nodiscard]] Intent& intent() const { return leased.intent(); }

  [[nodiscard]] ipc::Timeouts timeouts() const {
    return leased->aim.service == nullptr ? ipc::Timeouts() : leased->aim.service->timeouts;
  }
  // `most` from now, or the end of the time that there is for all of it.
  [[nodiscard]] Deadline within(Nanos most) const;
  // What an upstream did not do in time, in words.
  [[nodiscard]] Failure late(const Error& error, std::string_view what, std::uint32_t most_s) const;
  // Errors: kKilled.
  [[nodiscard]] Result<void> still_alive();
  // Waits until the upstream may have sent more; false when it has ended its side. One that lets us
  // wait gets a watch on the caller beside it. Errors: kTimeout, kClosed.
  [[nodiscard]] net::Task<Result<bool>> more_from_upstream(Deadline deadline);
  // Whether an answer whose agent has left is taken all the same: for what it says it used.
  [[nodiscard]] bool is_drained() const {
    return std::holds_alternative<LlmCall>(leased->call) && leased->aim.service->drains;
  }

  Leased leased;
  LeaseGuard guard;
  Reading reading;
  std::unique_ptr<UpstreamExchange> upstream;
  Instant ends = Deadline::never().at();  // of the time for all of it
  net::Nursery watch;                     // on the caller, where an answer takes long

 private:
  [[nodiscard]] net::Task<Result<bool>> more_with_patience(Deadline deadline);

  std::uint64_t seen_generation_ = 0;
  bool is_watching_ = false;
};

// Looks for placeholders in a body that goes through in pieces: what has gone is not whole then,
// and no more goes.
class PlaceholderSearch {
 public:
  explicit PlaceholderSearch(const Leased& leased) : leased_(leased) {}
  // Errors: kDenied, with an alarm.
  [[nodiscard]] Result<void> look_through(std::string_view piece);

 private:
  const Leased& leased_;
  std::string tail_;  // of what was looked through: one may lie across two pieces
};

}  // namespace gatehouse::gateway
