// SPDX-License-Identifier: Apache-2.0
// Outbox: what of the log goes on to the exporter: copies of the Entries that tell of an end, once
// they are durable. Bounded: what the exporter does not take in time is dropped here and counted,
// and stays in the log. Of its Loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "audit/entry.h"

namespace gatehouse::audit {

class Outbox {
 public:
  static constexpr std::size_t kBytesMost = std::size_t{4} * 1024 * 1024;
  static constexpr std::size_t kBatchMost = 40 * 1024;  // a message has 64 KiB

  // From the first time that there is somebody to tell.
  void begin() { is_wanted_ = true; }
  // An Entry of the group that is being gathered.
  void take(Kind kind, std::string_view entry);
  // All that was taken is durable.
  void release() { durable_ = waiting_.size(); }

  // The oldest that are durable, of at most kBatchMost bytes or one Entry.
  [[nodiscard]] std::vector<std::string> next();
  // They were not taken, and come again.
  void put_back(std::vector<std::string> batch);

  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  bool is_wanted_ = false;
  std::deque<std::string> waiting_;
  std::size_t durable_ = 0;  // so many of them
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace gatehouse::audit
