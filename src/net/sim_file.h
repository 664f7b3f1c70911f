// SPDX-License-Identifier: Apache-2.0
// SimFileSystem: files in memory with the durability of a disk: what was not synced is lost,
// wholly, partly or in part-written sectors, when the plug is pulled. Seeded, so that a failure
// replays. Of one thread.
#pragma once

#include <cstdint>
#include <memory>

#include "net/file.h"

namespace gatehouse::net {

class SimFileSystem : public FileSystem {
 public:
  // Power fails: everything returns kClosed until `restart`, and what was open stays closed for
  // ever. Each unsynced write (in 512-byte sectors) and each unsynced change of a directory
  // survives or not, as the seed says.
  virtual void pull_the_plug() = 0;
  virtual void restart() = 0;
  // Pulls the plug right before operation number `operation` of this file system.
  virtual void crash_at(std::uint64_t operation) = 0;
  // The n-th next write or sync fails with `code`, after which what was not synced of that file is
  // lost or not; 0 cancels.
  virtual void fail_after(std::uint64_t operations, Error::Code code) = 0;
  // How many writes, syncs and changes of directories were made: the crash points of a run.
  [[nodiscard]] virtual std::uint64_t operations() const = 0;
};

// How many seeds a test of crash points goes through: GATEHOUSE_CRASH_SEEDS, else `usual`.
[[nodiscard]] std::uint64_t crash_seeds(std::uint64_t usual);

[[nodiscard]] std::unique_ptr<SimFileSystem> make_sim_file_system(std::uint64_t seed);

}  // namespace gatehouse::net
