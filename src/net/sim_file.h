// SPDX-License-Identifier: Apache-2.0
// SimFileSystem: files in memory with the durability of a disk: what was not synced is lost,
// wholly, partly or in part-written sectors, when `pull_the_plug` is called. Seeded, so that a
// failure replays.
#pragma once

#include <cstdint>
#include <memory>

#include "net/file.h"

namespace gatehouse::net {

class SimFileSystem : public FileSystem {
 public:
  // Power fails: open Files of before return kClosed from now on; each unsynced write (in 512-byte
  // sectors) and each unsynced directory change survives or not as the seed says.
  virtual void pull_the_plug() = 0;
  // The n-th next write or sync fails with `code`; 0 cancels.
  virtual void fail_after(std::uint64_t operations, Error::Code code) = 0;
  // How many writes, syncs and directory changes were made: the crash points of a run.
  [[nodiscard]] virtual std::uint64_t operations() const = 0;
  // Pulls the plug by itself right before operation number `operation`; that and later ones return
  // kClosed.
  virtual void crash_at(std::uint64_t operation) = 0;
};

[[nodiscard]] std::unique_ptr<SimFileSystem> make_sim_file_system(std::uint64_t seed);

}  // namespace gatehouse::net
