// SPDX-License-Identifier: Apache-2.0
// The access log: lines into a descriptor that the supervisor opened. A disk that is full or a pipe
// that nobody reads holds up to kWaitingMost of them here; then lines are dropped and counted. Of
// its Loop's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ipc/control_gateway.h"
#include "net/descriptor.h"
#include "net/nursery.h"

namespace gatehouse::exporter {

class AccessLog {
 public:
  static constexpr std::size_t kWaitingMost = 1024 * 1024;
  static constexpr Nanos kTryAgain = 250ms;

  explicit AccessLog(net::Loop& loop) : loop_(loop), tasks_(loop) {}

  // Whether lines are wanted at all; without, the descriptor is closed.
  void use(bool is_wanted);
  // In the place of the one before: its file was moved away.
  void write_to(net::Descriptor file);
  [[nodiscard]] bool is_wanted() const { return is_wanted_; }
  // One line, with its newline. It is written by the next flush.
  void add(std::string_view line);
  void flush();
  void add_counters(ipc::CounterList& list) const;

 private:
  // Whether nothing waits any more.
  bool write_what_waits();
  net::Task<void> try_again();
  void wrote(std::size_t bytes);

  net::Loop& loop_;
  net::Descriptor file_;
  bool is_wanted_ = false;
  bool is_regular_ = false;  // a file: else a pipe or a terminal, which may not take more
  bool is_in_line_ = false;  // a line is written in part
  bool is_trying_ = false;
  bool is_failing_ = false;  // and that is logged
  std::string waiting_;
  std::uint64_t lines_ = 0;
  std::uint64_t dropped_ = 0;
  net::Nursery tasks_;
};

}  // namespace gatehouse::exporter
