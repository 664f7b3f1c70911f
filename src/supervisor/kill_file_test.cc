// SPDX-License-Identifier: Apache-2.0
#include "supervisor/kill_file.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "net/sim_file.h"

namespace gatehouse::supervisor {
namespace {

KillState one_killed() {
  KillState state;
  state.runs[RunId::from_bytes({1})] = {7, std::nullopt, "acme", "it misbehaves"};
  return state;
}

bool holds_reserve(net::FileSystem& files) {
  const auto names = files.list(".");
  return std::find(names->begin(), names->end(), "kills.reserve") != names->end();
}

TEST(KillFile, IsThereAfterThePowerFailed) {
  const auto disk = net::make_sim_file_system(1);
  ASSERT_TRUE(KillFile(*disk).load()) << "none: nothing is killed";
  ASSERT_TRUE(KillFile(*disk).save(one_killed()));
  disk->pull_the_plug();
  disk->restart();
  const auto back = KillFile(*disk).load();
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->ids(), one_killed().ids());
  EXPECT_EQ(back->runs.begin()->second.reason, "it misbehaves");
}

// The text is frozen: a change of the format gets another version, and reads this one.
TEST(KillFile, OfVersion1IsRead) {
  const RunId run = RunId::from_bytes({1});
  const auto state = parse_kill_file("gatehouse-kills 1\nall\nrun " + run.text()
                                     + " 7 - acme it%20misbehaves\nend\n");
  ASSERT_TRUE(state) << state.error().message();
  EXPECT_TRUE(state->all);
  ASSERT_TRUE(state->runs.contains(run));
  EXPECT_EQ(state->runs.at(run).at_unix_ms, 7);
  EXPECT_EQ(state->runs.at(run).tenant, "acme");
  EXPECT_EQ(state->runs.at(run).reason, "it misbehaves");
}

TEST(KillFile, OfANewerGatehouseIsRefusedAndLeftAlone) {
  const auto disk = net::make_sim_file_system(1);
  const std::string newer = "gatehouse-kills 2\nwhatever\n";
  ASSERT_TRUE(net::replace_file(*disk, "kills", newer));
  const auto refused = KillFile(*disk).load();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Error::kUnsupported);
  EXPECT_EQ(refused.error().message(),
            "made by a newer gatehouse: the kill file is of version 2, and this gatehouse reads up "
            "to 1; run that one, or restore a backup");
  EXPECT_EQ(net::read_file(*disk, "kills", 1024).value_or(""), newer);
  EXPECT_EQ(parse_kill_file("gatehouse-kills 0\nend\n").error(), Error::kCorrupt);
}

TEST(KillFile, OfANewerGatehouseIsKeptWhenAnotherTakesItsPlaceWhereverThePowerFails) {
  const std::string newer = "gatehouse-kills 2\nwhatever\n";
  for (std::uint64_t point = 1;; ++point) {
    const auto disk = net::make_sim_file_system(point);
    ASSERT_TRUE(net::replace_file(*disk, "kills", newer));
    KillFile file(*disk);
    ASSERT_FALSE(file.load());
    const std::uint64_t before = disk->operations();
    disk->crash_at(before + point);
    const bool is_saved = file.save(one_killed()).has_value();
    const bool is_through = disk->operations() < before + point;
    disk->restart();
    const std::string kept = net::read_file(*disk, "kills.newer", 1024).value_or("");
    const std::string now = net::read_file(*disk, "kills", 1024).value_or("");
    EXPECT_TRUE(now == newer || (now == kill_file_text(one_killed()) && kept == newer)) << point;
    if (is_saved) EXPECT_EQ(now, kill_file_text(one_killed()));
    if (is_through) break;
  }
}

TEST(KillFile, IsWrittenInThePlaceOfItsReserveWhenTheDiskIsFull) {
  const auto disk = net::make_sim_file_system(1);
  KillFile file(*disk);
  ASSERT_TRUE(file.load());
  EXPECT_TRUE(holds_reserve(*disk));
  disk->fail_after(1, Error::kExhausted);
  ASSERT_TRUE(file.save(one_killed()));
  EXPECT_EQ(file.load()->ids(), one_killed().ids());
  EXPECT_TRUE(holds_reserve(*disk)) << "there was room again, so there is one again";
}

TEST(KillFile, SaysSoWhenItCannotBeWrittenAndKeepsTheOldOne) {
  const auto disk = net::make_sim_file_system(1);
  KillFile file(*disk);
  ASSERT_TRUE(file.save(one_killed()));
  disk->fail_after(1, Error::kCorrupt);
  EXPECT_FALSE(file.save({}));
  EXPECT_EQ(file.load()->ids(), one_killed().ids());
}

}  // namespace
}  // namespace gatehouse::supervisor
