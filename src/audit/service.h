// SPDX-License-Identifier: Apache-2.0
// The audit role's core: the one writer, which merges the rings of the gateway's threads and the
// Entries of the other roles into the log, a group at a time ("commit when the commit before has
// ended"), and reads for control.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "audit/entry.h"
#include "audit/log.h"
#include "audit/outbox.h"
#include "ipc/control_gateway.h"
#include "ipc/ring.h"

namespace gatehouse::audit {

class Service {
 public:
  explicit Service(std::unique_ptr<Log> log) : log_(std::move(log)) {}

  static constexpr std::size_t kRingsMost = 64;

  // A ring that `role` writes into, a gateway or the vault; its number. Errors: kTooMany.
  [[nodiscard]] Result<std::uint64_t> add_ring(std::unique_ptr<ipc::RingReader> ring,
                                               std::string_view role);
  // Its writer is gone: what it holds is still taken, then the ring goes too.
  void retire(std::uint64_t ring);
  // An Entry of `role`, into the group that the next pump() commits; returns its sequence, which is
  // durable when log().size() is above it. A role writes what is its own to write, under its own
  // name. Errors: kDenied, kInvalid, kTooLarge.
  [[nodiscard]] Result<std::uint64_t> append(std::string_view entry, std::string_view role);
  // Takes what the rings hold, commits all that is gathered and tells the writers. Returns whether
  // there was anything. Errors: the commit's; nothing is told then, and the writers' Intents run
  // into their deadlines: fail closed.
  [[nodiscard]] Result<bool> pump();
  // Nobody writes any more: what the rings hold is committed, and what was under way has its end on
  // record. Errors: the commit's.
  [[nodiscard]] Result<void> finish();
  // How many Entries the last commit was of.
  [[nodiscard]] std::uint64_t last_group() const { return last_group_; }
  // Whether all rings are empty and their writers will wake us.
  [[nodiscard]] bool prepare_to_sleep();
  // Whether no writer waits for what its ring holds to be durable, and one that comes to will wake
  // us.
  [[nodiscard]] bool prepare_to_linger();
  void woken();

  [[nodiscard]] ipc::CounterList counters() const;
  [[nodiscard]] Log& log() { return *log_; }
  // What of it goes on to the exporter.
  [[nodiscard]] Outbox& outbox() { return outbox_; }

 private:
  struct Ring {
    std::uint64_t number = 0;
    std::unique_ptr<ipc::RingReader> reader;
    std::string role;         // that writes into it
    std::uint64_t until = 0;  // of another role than a gateway: how far it is taken this time
    bool retired = false;
    // Those Intents of this ring that have no end yet.
    struct Open {
      std::uint64_t intent = 0;  // its sequence
      std::size_t bytes = 0;     // encoded
    };
    std::map<ExchangeId, Open> open;
    std::size_t open_bytes = 0;
    std::uint64_t forgotten = 0;  // Intents for which there was no room in `open`
    std::uint64_t dropped = 0;    // records that did not belong into the log
  };
  // Takes what the rings hold.
  void gather();
  // Takes what the ring holds; false when it is to be given up.
  bool drain(Ring& ring);
  Result<void> append_of(Ring& ring, std::string_view bytes);
  void take(Ring& ring, const ipc::RingReader::Record& record);
  // What a gateway that is gone had under way ends on record; nobody else can tell of it.
  void settle_open(Ring& ring);
  Result<void> settle(std::uint64_t intent);
  // Puts on record what of a ring that goes is in no log; nothing where that is nothing.
  void record_gap(const Ring& ring, std::uint64_t unread_bytes, std::string_view why);

  std::unique_ptr<Log> log_;
  Outbox outbox_;
  std::vector<Ring> rings_;  // those of gateways first
  std::uint64_t next_ring_ = 1;
  std::uint64_t commits_ = 0;
  std::uint64_t last_group_ = 0;
  std::uint64_t failed_commits_ = 0;
  bool cannot_write_ = false;  // the last commit failed
  std::uint64_t dropped_ = 0;  // of all rings
  std::uint64_t abandoned_ = 0;
};

}  // namespace gatehouse::audit
