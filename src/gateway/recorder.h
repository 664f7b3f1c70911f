// SPDX-License-Identifier: Apache-2.0
// The gateway's pen: Entries and bodies into the ring that the audit role reads. Appending
// never waits on the disk; `wait_durable` does, for those Intents that must be durable before an
// effect or before an answer's first byte.
//
// When the audit role goes, new Exchanges are refused, while what ends is still written into the
// ring that it left; the next audit role gets a ring that begins with everything of the old one
// that was not durable. What it had written but not confirmed may then stand in the log twice.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "audit/entry.h"
#include "ipc/ring.h"
#include "ipc/ring_offers.h"
#include "ipc/sandbox.h"
#include "net/nursery.h"
#include "net/stream.h"

namespace gatehouse::gateway {

// A body as the Entry names it; its bytes go to the object store.
using audit::BodyRef;

class Recorder {
 public:
  explicit Recorder(net::Loop& loop)
      : loop_(loop), rouser_(loop, ring_), durable_(loop), tasks_(loop) {}

  // Where in the record something stands.
  struct Position {
    std::uint64_t ring = 0;  // the how-manieth ring
    std::uint64_t offset = 0;
  };

  // From now on into this ring.
  void write_to(std::unique_ptr<ipc::RingWriter> ring);
  // Whether an audit role reads what is written. While none does, nothing new may begin.
  [[nodiscard]] bool is_read() const { return is_read_; }

  // Queues an Entry; returns where it is durable. Waits (at most until `deadline`) while the ring
  // is full. Errors: kAuditUnavailable.
  [[nodiscard]] net::Task<Result<Position>> append(audit::Entry& entry, Deadline deadline);
  // The same without waiting, for destructors and settling: false when the ring is full, which is
  // counted and becomes a gap Entry as soon as there is room.
  bool append_now(audit::Entry entry);

  // Stores a whole body; its reference goes into an Entry. Errors: kAuditUnavailable.
  [[nodiscard]] net::Task<Result<BodyRef>> store(std::string_view name, std::string_view bytes,
                                                 Deadline deadline);
  // The same of a body that is a list of others (audit/body_list.h), of at most 1 MiB; the size of
  // what it says is the caller's to fill in.
  [[nodiscard]] net::Task<Result<BodyRef>> store_list(std::string_view name, std::string_view list,
                                                      Deadline deadline);
  // As store, without waiting: nothing when there is no room (counted).
  [[nodiscard]] std::optional<BodyRef> store_now(std::string_view name, std::string_view bytes);

  // Returns when everything up to `position` is on disk. Errors: kAuditUnavailable at the deadline.
  [[nodiscard]] net::Task<Result<void>> wait_durable(Position position, Deadline deadline);

  // Entries and bodies that found no room, since this process began.
  [[nodiscard]] std::uint64_t lost() const { return lost_; }

 private:
  struct Body;
  void stamp(audit::Entry& entry);
  std::optional<Position> put(const audit::Entry& entry);
  bool put_piece(Body& body);
  net::Task<Result<BodyRef>> put_all(Body body, Deadline deadline);
  [[nodiscard]] bool is_durable(const Position& position) const;
  net::Task<void> watch_durable(std::uint64_t ring);

  net::Loop& loop_;
  std::unique_ptr<ipc::RingWriter> ring_;
  ipc::Rouser rouser_;
  std::uint64_t number_ = 0;              // of the ring
  std::uint64_t durable_before_ = 0;      // of the ring before it, when it was left
  std::uint64_t carried_over_until_ = 0;  // in this ring, what was not durable in the one before
  bool is_read_ = false;
  std::uint64_t lost_ = 0;
  std::uint64_t untold_ = 0;  // of them without a gap Entry yet
  net::Event durable_;
  net::Nursery tasks_;
};

}  // namespace gatehouse::gateway
