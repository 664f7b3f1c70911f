// SPDX-License-Identifier: Apache-2.0
// The audit role's core: the one writer, which merges the rings of the gateway's threads and the
// Entries of the other roles into the log, a group at a time ("commit when the commit before has
// ended"), and reads for control.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "audit/log.h"
#include "ipc/ring.h"

namespace gatehouse::audit {

class Service {
 public:
  explicit Service(std::unique_ptr<Log> log) : log_(std::move(log)) {}

  void add_ring(std::unique_ptr<ipc::RingReader> ring) { rings_.push_back(std::move(ring)); }
  // An Entry of another role, into the group that the next pump() commits; returns its sequence,
  // which is durable when log().size() is above it. Errors: kInvalid, kTooLarge.
  [[nodiscard]] Result<std::uint64_t> append(std::string_view entry);
  // Takes what the rings hold, commits all that is gathered and tells the writers. Returns whether
  // there was anything. Errors: the commit's; nothing is told then, and the writers' Intents run
  // into their deadlines: fail closed.
  [[nodiscard]] Result<bool> pump();
  // Whether all rings are empty and their writers will wake us.
  [[nodiscard]] bool prepare_to_sleep();
  void woken();

  [[nodiscard]] Log& log() { return *log_; }
  [[nodiscard]] const std::vector<std::unique_ptr<ipc::RingReader>>& rings() const {
    return rings_;
  }

 private:
  std::unique_ptr<Log> log_;
  std::vector<std::unique_ptr<ipc::RingReader>> rings_;
};

}  // namespace gatehouse::audit
