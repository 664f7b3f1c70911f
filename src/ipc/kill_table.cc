// SPDX-License-Identifier: Apache-2.0
#include "ipc/kill_table.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace gatehouse::ipc {
namespace {

constexpr std::uint64_t kMagic = 0x31656c6261746c6bULL;  // "kltable1"

}  // namespace

// A sequence lock: `generation` is odd while the writer is at work. Every word is atomic, so that a
// racing read is a stale value and never undefined.
struct KillTableMemory {
  std::atomic<std::uint64_t> magic;
  alignas(64) std::atomic<std::uint64_t> generation;
  alignas(64) std::atomic<std::uint64_t> all_killed;
  std::atomic<std::uint64_t> count;
  struct Row {
    std::atomic<std::uint64_t> high;
    std::atomic<std::uint64_t> low;
  };
  std::array<Row, kKilledMost> rows;  // sorted
};

namespace {

std::pair<std::uint64_t, std::uint64_t> words_of(const RunId& run) {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  for (int i = 0; i < 8; ++i) {
    high = high << 8 | run.bytes()[static_cast<std::size_t>(i)];
    low = low << 8 | run.bytes()[static_cast<std::size_t>(i + 8)];
  }
  return {high, low};
}

}  // namespace

Result<std::unique_ptr<KillTableWriter>> KillTableWriter::make() {
  net::Descriptor fd(memfd_create("gatehouse-kill-table", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.is_open() || ftruncate(fd.get(), sizeof(KillTableMemory)) != 0) {
    return failure_from_errno(errno, "making the kill table");
  }
  void* memory =
      mmap(nullptr, sizeof(KillTableMemory), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return failure_from_errno(errno, "mapping the kill table");
  constexpr int kSeals =
      F_SEAL_SHRINK | F_SEAL_GROW | 0x0010 /* F_SEAL_FUTURE_WRITE */ | F_SEAL_SEAL;
  if (fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) {
    munmap(memory, sizeof(KillTableMemory));
    return failure_from_errno(errno, "sealing the kill table");
  }
  auto* table = static_cast<KillTableMemory*>(memory);
  table->magic.store(kMagic, std::memory_order_release);
  return std::unique_ptr<KillTableWriter>(new KillTableWriter(std::move(fd), table));
}

KillTableWriter::~KillTableWriter() { munmap(memory_, sizeof(KillTableMemory)); }

std::uint64_t KillTableWriter::publish(bool all_killed, const std::vector<RunId>& killed) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> rows;
  for (const RunId& run : killed) rows.push_back(words_of(run));
  std::sort(rows.begin(), rows.end());
  const bool too_many = rows.size() > kKilledMost;
  if (too_many) rows.clear();
  const std::uint64_t before = memory_->generation.load(std::memory_order_relaxed);
  memory_->generation.store(before + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  memory_->all_killed.store(all_killed || too_many ? 1 : 0, std::memory_order_relaxed);
  memory_->count.store(rows.size(), std::memory_order_relaxed);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    memory_->rows[i].high.store(rows[i].first, std::memory_order_relaxed);
    memory_->rows[i].low.store(rows[i].second, std::memory_order_relaxed);
  }
  memory_->generation.store(before + 2, std::memory_order_release);
  return before + 2;
}

Result<std::unique_ptr<KillTableReader>> KillTableReader::open(net::Descriptor fd) {
  struct stat about{};
  if (fstat(fd.get(), &about) != 0 || about.st_size != sizeof(KillTableMemory)
      || (fcntl(fd.get(), F_GET_SEALS) & F_SEAL_SHRINK) == 0) {
    return failure(Error::kInvalid, "what came as the kill table is not one");
  }
  void* memory = mmap(nullptr, sizeof(KillTableMemory), PROT_READ, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return failure_from_errno(errno, "mapping the kill table");
  const auto* table = static_cast<const KillTableMemory*>(memory);
  if (table->magic.load(std::memory_order_acquire) != kMagic) {
    munmap(memory, sizeof(KillTableMemory));
    return failure(Error::kInvalid, "what came as the kill table has another format");
  }
  return std::unique_ptr<KillTableReader>(new KillTableReader(table));
}

KillTableReader::~KillTableReader() {
  munmap(const_cast<KillTableMemory*>(memory_), sizeof(KillTableMemory));
}

std::uint64_t KillTableReader::generation() const {
  return memory_->generation.load(std::memory_order_relaxed);
}

bool KillTableReader::is_killed(const RunId& run) const {
  const auto wanted = words_of(run);
  constexpr int kTriesMost = 1000;
  for (int tries = 0; tries < kTriesMost; ++tries) {
    if (tries > 16) sched_yield();  // the writer may have lost the processor in the middle
    const std::uint64_t before = memory_->generation.load(std::memory_order_acquire);
    if (before % 2 == 1) continue;
    bool killed = memory_->all_killed.load(std::memory_order_relaxed) != 0;
    std::size_t low = 0;
    std::size_t high =
        std::min<std::size_t>(memory_->count.load(std::memory_order_relaxed), kKilledMost);
    while (!killed && low < high) {
      const std::size_t middle = (low + high) / 2;
      const std::pair row(memory_->rows[middle].high.load(std::memory_order_relaxed),
                          memory_->rows[middle].low.load(std::memory_order_relaxed));
      if (row == wanted) killed = true;
      (row < wanted ? low : high) = row < wanted ? middle + 1 : middle;
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    if (memory_->generation.load(std::memory_order_relaxed) == before) return killed;
  }
  return true;
}

}  // namespace gatehouse::ipc
