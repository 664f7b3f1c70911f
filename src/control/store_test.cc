// SPDX-License-Identifier: Apache-2.0
#include "control/store.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "control/vfs.h"
#include "net/sim_file.h"

namespace gatehouse::control {
namespace {

Config config_of(std::string_view yaml) {
  auto config = decode_config(yaml, [](const std::string& path) -> Result<std::string> {
    return failure(Error::kNotFound, path);
  });
  EXPECT_TRUE(config);
  return config ? *std::move(config) : Config{};
}

constexpr std::string_view kFirst = R"(version: 1
data: /data
users: [{name: alice}, {name: bob}]
services:
  - {name: web, kind: http, url: "https://web.example", upstream: "https://web.example"}
agents:
  - name: claw
    rules: [{id: read, service: web, methods: [GET], paths: ["/**"]}]
)";
constexpr std::string_view kSecond = R"(version: 1
data: /data
users: [{name: alice}]
services:
  - {name: web, kind: http, url: "https://web.example", upstream: "https://other.example"}
agents:
  - name: claw
    rules: [{id: read, service: web, methods: [GET, HEAD], paths: ["/**"]}]
)";

Run run_of(int number) {
  Run run;
  run.id = RunId::from_bytes({static_cast<std::uint8_t>(number + 1)});
  run.trace.bytes = {7};
  run.tenant = "default";
  run.user = "alice";
  run.agent = "claw";
  run.started = WallTime(1'000'000'000LL * (number + 1));
  run.boot = "boot";
  return run;
}

class StoreTest : public testing::Test {
 protected:
  std::unique_ptr<net::SimFileSystem> disk = net::make_sim_file_system(1);
  Vfs vfs{*disk};
  std::unique_ptr<StateStore> store = std::move(*open_sqlite_store("state.db", vfs.name()));
};

TEST_F(StoreTest, TheFileIsAppliedWhole) {
  const auto first = store->apply_file(config_of(kFirst));
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_EQ(first->added.size(), 6U);  // tenant, two users, service, agent, rule
  const auto again = store->apply_file(config_of(kFirst));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->unchanged, 6U);
  EXPECT_TRUE(again->added.empty() && again->changed.empty() && again->removed.empty());
  const auto second = store->apply_file(config_of(kSecond));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->changed, (std::vector<std::string>{"service web", "rule claw/read"}));
  EXPECT_EQ(second->removed, std::vector<std::string>{"user bob"});
}

TEST_F(StoreTest, WhatIsFromTheFileIsChangedOnlyInTheFile) {
  ASSERT_TRUE(store->apply_file(config_of(kFirst)));
  EXPECT_EQ(store->put(User{"default", "alice"}).error(), Error::kConflict);
  EXPECT_EQ(store->remove(Kind::kUser, "default", "alice").error(), Error::kConflict);
  ASSERT_TRUE(store->put(User{"default", "carol"}));
  ASSERT_TRUE(store->apply_file(config_of(kSecond)));
  EXPECT_NE(store->state()->find<User>("default", "carol"), nullptr);
}

TEST_F(StoreTest, AReferenceThatWouldBreakIsRefusedAndNothingChanges) {
  ASSERT_TRUE(store->apply_file(config_of(kFirst)));
  Rule rule;
  rule.tenant = "default";
  rule.agent = "claw";
  rule.id = "other";
  rule.service = "nothing";
  EXPECT_EQ(store->put(rule).error(), Error::kConflict);
  EXPECT_EQ(store->state()->all<Rule>().size(), 1U);
}

struct Acknowledged {
  bool file = false;
  int started = 0;
  int ended = 0;
};

Result<void> use_store(const std::string& vfs, Acknowledged& acknowledged) {
  const auto store = TRY(open_sqlite_store("state.db", vfs));
  TRY(store->apply_file(config_of(kFirst)));
  acknowledged.file = true;
  for (int i = 0; i < 4; ++i) {
    TRY(store->start_run(run_of(i)));
    acknowledged.started = i + 1;
    TRY(store->end_run(run_of(i).id, WallTime(9), 0));
    acknowledged.ended = i + 1;
  }
  return {};
}

TEST(StoreCrash, LosesNothingAcknowledgedAtAnyPointWhereThePowerFails) {
  const std::uint64_t seeds = net::crash_seeds(8);
  std::uint64_t points = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    for (std::uint64_t point = 1;; ++point) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", point " + std::to_string(point));
      const auto disk = net::make_sim_file_system(seed * 1'000'003 + point);
      const Vfs vfs(*disk);
      disk->crash_at(point);
      Acknowledged acknowledged;
      if (use_store(vfs.name(), acknowledged)) break;
      disk->restart();
      const auto store = open_sqlite_store("state.db", vfs.name());
      ASSERT_TRUE(store) << store.error().message();
      if (acknowledged.file) {
        EXPECT_NE((*store)->state()->find<User>("default", "alice"), nullptr);
      }
      for (int i = 0; i < acknowledged.started; ++i) {
        const auto run = (*store)->run(run_of(i).id);
        ASSERT_TRUE(run) << "an acknowledged Run is lost";
        EXPECT_TRUE(i >= acknowledged.ended || !run->is_live());
      }
      ++points;
    }
  }
  std::printf("%llu crash points, seeds 1 to %llu\n", static_cast<unsigned long long>(points),
              static_cast<unsigned long long>(seeds));
  EXPECT_GT(points, seeds * 20);
}

}  // namespace
}  // namespace gatehouse::control
