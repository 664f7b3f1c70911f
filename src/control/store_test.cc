// SPDX-License-Identifier: Apache-2.0
#include "control/store.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "control/sqlite.h"
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

TEST_F(StoreTest, ARunWithoutASandboxKeepsItsCertificateAndWhoBeganIt) {
  control::Run run = run_of(1);
  EXPECT_FALSE(run.is_attached());
  run.thumbprint = "dGh1bWJwcmludA";
  run.by = "user default/alice";
  ASSERT_TRUE(store->start_run(run));
  store.reset();
  store = std::move(*open_sqlite_store("state.db", vfs.name()));
  const auto kept = store->run(run.id);
  ASSERT_TRUE(kept);
  EXPECT_TRUE(kept->is_attached());
  EXPECT_EQ(kept->thumbprint, run.thumbprint);
  EXPECT_EQ(kept->by, run.by);
}

TEST_F(StoreTest, WhatIsFromTheFileIsChangedOnlyInTheFile) {
  ASSERT_TRUE(store->apply_file(config_of(kFirst)));
  EXPECT_EQ(store->put(User{"default", "alice", {}}).error(), Error::kConflict);
  EXPECT_EQ(store->remove(Kind::kUser, "default", "alice").error(), Error::kConflict);
  ASSERT_TRUE(store->put(User{"default", "carol", {}}));
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

TEST_F(StoreTest, EachChangeIsAnotherVersionAlsoOfAnObjectThatWasThereBefore) {
  ASSERT_TRUE(store->apply_file(config_of(kFirst)));
  const auto version = [&] {
    return store->state()->stored(Kind::kUser, "default", "carol")->version;
  };
  ASSERT_TRUE(store->put(User{"default", "carol", {}}));
  const std::int64_t first = version();
  ASSERT_TRUE(store->remove(Kind::kUser, "default", "carol"));
  ASSERT_TRUE(store->put(User{"default", "carol", {}}));
  EXPECT_GT(version(), first);
  const std::int64_t before = store->state()->stored(Kind::kUser, "default", "alice")->version;
  ASSERT_TRUE(store->apply_file(config_of(kFirst)));
  EXPECT_EQ(store->state()->stored(Kind::kUser, "default", "alice")->version, before);
}

TEST_F(StoreTest, WhatIsTriedIsNotDone) {
  ASSERT_TRUE(store->apply_file(config_of(kFirst)));
  EXPECT_TRUE(store->try_put(User{"default", "carol", {}}));
  EXPECT_EQ(store->state()->find<User>("default", "carol"), nullptr);
  ASSERT_TRUE(store->put(User{"default", "carol", {}}));
  EXPECT_TRUE(store->try_remove(Kind::kUser, "default", "carol"));
  EXPECT_NE(store->state()->find<User>("default", "carol"), nullptr);
  EXPECT_EQ(store->try_remove(Kind::kUser, "default", "alice").error(), Error::kConflict);
}

TEST_F(StoreTest, NoTwoObjectsAreTheSameOneToAnybody) {
  ASSERT_TRUE(store->apply_file(config_of(kFirst)));
  Service twin;
  twin.tenant = "default";
  twin.name = "twin";
  twin.url = twin.upstream = "https://web.example";
  EXPECT_EQ(store->put(twin).error(), Error::kConflict);
  Issuer corp;
  corp.tenant = "default";
  corp.name = "corp";
  corp.url = "https://login.example";
  ASSERT_TRUE(store->put(corp));
  ASSERT_TRUE(store->put(User{"default", "carol", Login{"corp", "1"}}));
  EXPECT_EQ(store->put(User{"default", "dora", Login{"corp", "1"}}).error(), Error::kConflict);
  EXPECT_TRUE(store->put(User{"default", "dora", Login{"corp", "2"}}));
}

TEST_F(StoreTest, WhatIsNeededStaysUntilWhatNeedsItIsGone) {
  ASSERT_TRUE(store->apply_file(config_of(kFirst)));
  ASSERT_TRUE(store->put(User{"default", "carol", {}}));
  ASSERT_TRUE(store->put(Binding{"default", "auditor", Kind::kUser, "carol"}));
  const auto refused = store->remove(Kind::kUser, "default", "carol");
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message().contains("binding auditor.user.carol"));
  ASSERT_TRUE(store->put(Binding{"default", "owner", Kind::kUser, "bob"}));
  EXPECT_EQ(store->apply_file(config_of(kSecond)).error(), Error::kConflict) << "bob is needed";
  EXPECT_NE(store->state()->find<User>("default", "bob"), nullptr);
  ASSERT_TRUE(store->remove(Kind::kBinding, "default", "auditor.user.carol"));
  EXPECT_TRUE(store->remove(Kind::kUser, "default", "carol"));
}

TEST_F(StoreTest, WhatAModelRouteLeadsToStaysUntilTheRouteIsGone) {
  const Config config = config_of(R"(version: 1
data: /data
services:
  - {name: a, kind: openai, url: "http://a.b", upstream: "https://a.b",
     models: [{name: m, targets: [{service: b, model: x}, {service: a, model: y}]}]}
  - {name: b, kind: openai, url: "http://c.d", upstream: "https://c.d"}
)");
  ASSERT_TRUE(store->put(Tenant{"default", ""}));
  Service a = config.services.front();
  ASSERT_FALSE(store->put(a)) << "it leads to what is not there";
  ASSERT_TRUE(store->put(config.services.back()));
  ASSERT_TRUE(store->put(a));
  EXPECT_EQ(*store->state()->find<Service>("default", "a"), a);
  EXPECT_EQ(store->remove(Kind::kService, "default", "b").error(), Error::kConflict);
  a.models.clear();
  ASSERT_TRUE(store->put(a));
  EXPECT_TRUE(store->remove(Kind::kService, "default", "b"));
  EXPECT_TRUE(store->remove(Kind::kService, "default", "a"));
}

TEST_F(StoreTest, ASessionEndsWithWhoeverItIsOf) {
  ASSERT_TRUE(store->apply_file(config_of(kFirst)));
  Session session;
  session.digest = "d1";
  session.tenant = "default";
  session.name = "carol";
  session.claims = {"a", "b c"};
  session.ends = WallTime(100);
  EXPECT_EQ(store->begin_session(session).error(), Error::kConflict) << "there is no carol";
  for (const bool by_change : {false, true}) {
    ASSERT_TRUE(store->put(User{"default", "carol", {}}));
    ASSERT_TRUE(store->begin_session(session));
    EXPECT_EQ(store->session("d1")->claims, session.claims);
    if (by_change) {
      ASSERT_TRUE(store->put(User{"default", "carol", {}}));
    } else {
      ASSERT_TRUE(store->remove(Kind::kUser, "default", "carol"));
    }
    EXPECT_EQ(store->session("d1").error(), Error::kNotFound);
  }
}

// Version 1, as the first release wrote it.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
CREATE TABLE tenant (
  tenant TEXT NOT NULL, name TEXT NOT NULL CHECK (name = tenant),
  source TEXT NOT NULL CHECK (source IN ('file', 'api')), position INTEGER NOT NULL,
  definition TEXT NOT NULL,
  PRIMARY KEY (tenant, name), UNIQUE (tenant)) STRICT;
CREATE TABLE user (
  tenant TEXT NOT NULL REFERENCES tenant (tenant) DEFERRABLE INITIALLY DEFERRED,
  name TEXT NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('file', 'api')), position INTEGER NOT NULL,
  definition TEXT NOT NULL,
  PRIMARY KEY (tenant, name)) STRICT;
CREATE TABLE service (
  tenant TEXT NOT NULL REFERENCES tenant (tenant) DEFERRABLE INITIALLY DEFERRED,
  name TEXT NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('file', 'api')), position INTEGER NOT NULL,
  definition TEXT NOT NULL,
  PRIMARY KEY (tenant, name)) STRICT;
CREATE TABLE agent (
  tenant TEXT NOT NULL REFERENCES tenant (tenant) DEFERRABLE INITIALLY DEFERRED,
  name TEXT NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('file', 'api')), position INTEGER NOT NULL,
  definition TEXT NOT NULL,
  PRIMARY KEY (tenant, name)) STRICT;
CREATE TABLE rule (
  tenant TEXT NOT NULL REFERENCES tenant (tenant) DEFERRABLE INITIALLY DEFERRED,
  name TEXT NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('file', 'api')), position INTEGER NOT NULL,
  definition TEXT NOT NULL,
  agent TEXT, service TEXT,
  PRIMARY KEY (tenant, name),
  FOREIGN KEY (tenant, agent) REFERENCES agent (tenant, name) DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY (tenant, service) REFERENCES service (tenant, name) DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE TABLE run (
  id TEXT NOT NULL PRIMARY KEY, trace TEXT NOT NULL, tenant TEXT NOT NULL, user TEXT NOT NULL,
  agent TEXT NOT NULL, started_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL,
  exit_status INTEGER NOT NULL, boot TEXT NOT NULL) STRICT;
CREATE INDEX run_live ON run (ended_ns) WHERE ended_ns = 0;
INSERT INTO schema_version VALUES (1);
INSERT INTO tenant VALUES ('default', 'default', 'file', 0, '{}');
INSERT INTO user VALUES ('default', 'alice', 'file', 1, '{}'), ('default', 'bob', 'file', 2, '{}'),
  ('default', 'carol', 'api', 6, '{}');
INSERT INTO service VALUES ('default', 'web', 'file', 3,
  '{"kind":"http","url":"https://web.example","upstream":"https://web.example",'
  || '"allow_private":false,"credential":null,"shared":false,"intent":[]}');
INSERT INTO agent VALUES ('default', 'claw', 'file', 4, '{"command":[],"volume":"home"}');
INSERT INTO rule VALUES ('default', 'claw/read', 'file', 5,
  '{"agent":"claw","id":"read","service":"web","hosts":[],"methods":["GET"],'
  || '"paths":["/**"],"tools":[]}',
  'claw', 'web');
)sql";

TEST_F(StoreTest, AStoreOfVersion1IsReadWithAllThatIsInIt) {
  store.reset();
  ASSERT_TRUE(disk->remove("state.db"));
  {
    auto database = Database::open("state.db", vfs.name());
    ASSERT_TRUE(database);
    ASSERT_TRUE(database->run(kVersion1));
    const control::Run old = run_of(3);
    ASSERT_TRUE(database->run("INSERT INTO run VALUES ('" + old.id.text() + "', '"
                              + old.trace.text() + "', 'default', 'alice', 'claw', 4, 0, 0, 'b')"));
  }
  for (int opened = 0; opened < 2; ++opened) {
    auto migrated = open_sqlite_store("state.db", vfs.name());
    ASSERT_TRUE(migrated) << migrated.error().message();
    store = *std::move(migrated);
    EXPECT_EQ(store->state()->objects.size(), 7U);
    EXPECT_EQ(store->state()->stored(Kind::kUser, "default", "carol")->source, Source::kApi);
    EXPECT_TRUE(store->run(run_of(3).id)->is_live());
    EXPECT_FALSE(store->run(run_of(3).id)->is_attached());
    EXPECT_EQ(store->remove(Kind::kService, "default", "web").error(), Error::kConflict);
    store.reset();
  }
  store = std::move(*open_sqlite_store("state.db", vfs.name()));
  const auto applied = store->apply_file(config_of(kFirst));
  ASSERT_TRUE(applied) << applied.error().message();
  EXPECT_EQ(applied->added.size() + applied->removed.size(), 0U);
}

TEST_F(StoreTest, AStoreOfALaterVersionIsLeftAlone) {
  store.reset();
  {
    auto database = Database::open("state.db", vfs.name());
    ASSERT_TRUE(database->run("UPDATE schema_version SET version = 99"));
  }
  const auto refused = open_sqlite_store("state.db", vfs.name());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Error::kUnsupported);
  EXPECT_EQ(refused.error().message(),
            "made by a newer gatehouse: the state store is of version 99, and this gatehouse reads "
            "up to 6; run that one, or restore a backup");
  {
    auto database = Database::open("state.db", vfs.name());
    ASSERT_TRUE(database->run("UPDATE schema_version SET version = 6"));
  }
  EXPECT_TRUE(open_sqlite_store("state.db", vfs.name())) << "it was left as it was";
  store = std::unique_ptr<StateStore>();
}

struct Acknowledged {
  bool file = false;
  bool made = false;
  int started = 0;
  int ended = 0;
};

Result<void> use_store(const std::string& vfs, Acknowledged& acknowledged) {
  const auto store = TRY(open_sqlite_store("state.db", vfs));
  TRY(store->apply_file(config_of(kFirst)));
  acknowledged.file = true;
  TRY(store->put(User{"default", "carol", {}}, [](const Stored&) {
    return Remembered{"uid 0", "key", "print", 201, "\"9\"", "{}", WallTime(1)};
  }));
  acknowledged.made = true;
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
      const bool is_there = (*store)->state()->find<User>("default", "carol") != nullptr;
      EXPECT_TRUE(is_there || !acknowledged.made);
      EXPECT_EQ((*store)->remembered("uid 0", "key")->has_value(), is_there)
          << "what was done and what is answered to who asks again are one";
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

TEST(StoreCrash, AMigrationIsDoneWholeOrNotAtAllWhereverThePowerFails) {
  const std::uint64_t seeds = net::crash_seeds(3);
  std::uint64_t points = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    bool is_through = false;
    for (std::uint64_t point = 1; !is_through; ++point) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", point " + std::to_string(point));
      const auto disk = net::make_sim_file_system(seed * 1'000'003 + point);
      const Vfs vfs(*disk);
      ASSERT_TRUE(Database::open("state.db", vfs.name())->run(kVersion1));
      disk->crash_at(disk->operations() + point);
      is_through = open_sqlite_store("state.db", vfs.name()).has_value();
      disk->restart();
      const auto store = open_sqlite_store("state.db", vfs.name());
      ASSERT_TRUE(store) << store.error().message();
      EXPECT_EQ((*store)->state()->objects.size(), 7U);
      ++points;
    }
  }
  EXPECT_GT(points, seeds * 5);
}

}  // namespace
}  // namespace gatehouse::control
