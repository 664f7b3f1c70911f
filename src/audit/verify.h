// SPDX-License-Identifier: Apache-2.0
// The offline verifier: reads a log's files and believes nothing. Every checksum, every marker and
// its root, the order of the sequences, every body against its commitment, and zeros where nothing
// was written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "audit/digest.h"
#include "net/file.h"

namespace gatehouse::audit {

struct Damage {
  std::string segment;
  std::uint64_t offset = 0;    // in the segment, of the frame that is damaged
  std::uint64_t sequence = 0;  // of the Entry that is damaged, or comes next
  std::string what;
  [[nodiscard]] std::string text() const;
};

struct Report {
  std::uint64_t segments = 0;
  std::uint64_t entries = 0;
  std::uint64_t exchanges = 0;  // Entries that open one
  std::uint64_t bodies = 0;
  std::uint64_t bytes = 0;
  Digest root{};
  // Behind the last group lies one that was never finished: the power failed, or the log is being
  // written. It was not acknowledged and does not count.
  bool is_unfinished = false;
  std::optional<Damage> damage;  // the first
  [[nodiscard]] bool intact() const { return !damage; }
};

[[nodiscard]] Report verify(net::FileSystem& files);

}  // namespace gatehouse::audit
