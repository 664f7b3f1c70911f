// SPDX-License-Identifier: Apache-2.0
#include "ipc/kill_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

namespace gatehouse::ipc {
namespace {

TEST(KillTable, AReaderSeesAKillAndARevival) {
  auto writer = KillTableWriter::make();
  ASSERT_TRUE(writer);
  auto reader = KillTableReader::open(net::Descriptor(dup((*writer)->fd())));
  ASSERT_TRUE(reader);
  const RunId one = RunId::fresh();
  const RunId other = RunId::fresh();
  const std::uint64_t before = (*reader)->generation();
  EXPECT_FALSE((*reader)->is_killed(one));
  (*writer)->publish(false, {one});
  EXPECT_NE((*reader)->generation(), before);
  EXPECT_TRUE((*reader)->is_killed(one));
  EXPECT_FALSE((*reader)->is_killed(other));
  (*writer)->publish(true, {});
  EXPECT_TRUE((*reader)->is_killed(other));
  (*writer)->publish(false, {});
  EXPECT_FALSE((*reader)->is_killed(one));
}

TEST(KillTable, MoreThanFitKillsEverything) {
  auto writer = KillTableWriter::make();
  auto reader = KillTableReader::open(net::Descriptor(dup((*writer)->fd())));
  (*writer)->publish(false, std::vector<RunId>(kKilledMost + 1, RunId::fresh()));
  EXPECT_TRUE((*reader)->is_killed(RunId::fresh()));
}

TEST(KillTable, NobodyElseCanWriteIt) {
  auto writer = KillTableWriter::make();
  const net::Descriptor copy(dup((*writer)->fd()));
  EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, copy.get(), 0), MAP_FAILED);
  EXPECT_NE(pwrite(copy.get(), "x", 1, 0), 1);
}

TEST(KillTable, OtherMemoryIsRefused) {
  const int plain = memfd_create("plain", MFD_CLOEXEC);
  EXPECT_FALSE(KillTableReader::open(net::Descriptor(plain)));
}

}  // namespace
}  // namespace gatehouse::ipc
