// SPDX-License-Identifier: Apache-2.0
// What the supervisor puts on record: kills and revivals. A kill never waits for the log; what
// cannot be written yet is kept until the audit role is there.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "audit/entry.h"
#include "ipc/channel.h"
#include "net/nursery.h"
#include "net/stream.h"

namespace gatehouse::supervisor {

class Scribe {
 public:
  static constexpr std::size_t kKeptMost = 10'000;  // Entries; more are counted and logged

  explicit Scribe(net::Loop& loop) : loop_(loop), nursery_(loop) {}

  void write(audit::Entry entry);
  // A fresh line to the audit role; what was kept goes out on it.
  void attach(net::Descriptor line);

 private:
  void start_sending();
  net::Task<void> send();

  net::Loop& loop_;
  ipc::Permits nothing_;
  std::unique_ptr<ipc::Channel> audit_;
  std::deque<std::string> kept_;
  bool is_sending_ = false;
  net::Nursery nursery_;
};

}  // namespace gatehouse::supervisor
