// SPDX-License-Identifier: Apache-2.0
// The kill table: shared memory that the supervisor alone writes (F_SEAL_FUTURE_WRITE: every other
// mapping is read-only) and every gateway thread reads. The price of a check is one relaxed load of
// the generation; only when it has moved is the table read.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "net/descriptor.h"

namespace gatehouse::ipc {

// Killed Runs that fit; one more kills everything (fail closed) until some are revived.
inline constexpr std::size_t kKilledMost = 65'536;

struct KillTableMemory;

class KillTableWriter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<KillTableWriter>> make();
  ~KillTableWriter();
  // Replaces the whole content and moves the generation, which it returns.
  std::uint64_t publish(bool all_killed, const std::vector<RunId>& killed);
  // A descriptor to hand to a reader.
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  KillTableWriter(net::Descriptor fd, KillTableMemory* memory)
      : fd_(std::move(fd)), memory_(memory) {}
  net::Descriptor fd_;
  KillTableMemory* memory_;
};

class KillTableReader {
 public:
  // Errors: kInvalid when the memory is not a sealed kill table.
  [[nodiscard]] static Result<std::unique_ptr<KillTableReader>> open(net::Descriptor fd);
  ~KillTableReader();
  // One relaxed load.
  [[nodiscard]] std::uint64_t generation() const;
  // Reads the table; for when the generation has moved, and at the start of an Exchange. A torn
  // read (the writer is at work) is tried again; what stays torn is a kill.
  [[nodiscard]] bool is_killed(const RunId& run) const;

 private:
  explicit KillTableReader(const KillTableMemory* memory) : memory_(memory) {}
  const KillTableMemory* memory_;
};

}  // namespace gatehouse::ipc
