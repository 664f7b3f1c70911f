// SPDX-License-Identifier: Apache-2.0
// The log over a disk that loses what was not synced: at every operation of a run the power fails.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "audit/digest.h"
#include "audit/log.h"
#include "audit/verify.h"
#include "net/sim_file.h"

namespace gatehouse::audit {
namespace {

constexpr LogOptions kSmall{8 * 1024};
constexpr int kEntries = 40;

std::string entry_of(int number) {
  Entry entry;
  entry.kind = Kind::kNote;
  entry.role = "gateway";
  entry.run = RunId::from_bytes({1});
  entry.add("number", std::to_string(number));
  entry.add("padding", std::string(static_cast<std::size_t>(number * 37 % 700), 'p'));
  return *encode(entry);
}

ObjectId object_of(int number) { return {static_cast<std::uint8_t>(number + 1)}; }

struct Acknowledged {
  std::uint64_t entries = 0;
  int bodies = 0;
};

// Writes until it is through or the disk fails; notes what was acknowledged.
Result<void> write_log(net::FileSystem& files, Acknowledged& acknowledged) {
  const auto log = TRY(Log::open(files, kSmall));
  for (int i = 0; i < kEntries; ++i) {
    TRY(log->append(entry_of(i)));
    if (i % 5 == 4)
      TRY(log->append_body({object_of(i / 5), Digest{1}, true, std::string(900, 'b')}));
    if (i % 3 != 2) continue;
    TRY(log->commit());
    log->prepare();
    acknowledged = {log->size(), (i + 1) / 5};
  }
  TRY(log->commit());
  acknowledged.entries = log->size();
  return {};
}

void recovers(net::FileSystem& files, const Acknowledged& acknowledged) {
  auto log = Log::open(files, kSmall);
  ASSERT_TRUE(log) << log.error().message();
  const std::uint64_t size = (*log)->size();
  ASSERT_GE(size, acknowledged.entries) << "an acknowledged Entry is lost";
  for (std::uint64_t i = 0; i < size; ++i) {
    ASSERT_EQ((*log)->read(i).value_or("?"), entry_of(static_cast<int>(i)));
  }
  for (int i = 0; i < acknowledged.bodies; ++i) {
    EXPECT_EQ((*log)->read_body(object_of(i), 0, 1000).value_or("?"), std::string(900, 'b'));
  }
  (*log)->prepare();
  ASSERT_TRUE((*log)->append(entry_of(99)));
  const Result<void> committed = (*log)->commit();
  ASSERT_TRUE(committed) << committed.error().message();
  log->reset();
  const Report report = verify(files);
  ASSERT_TRUE(report.intact()) << report.damage->text();
  EXPECT_EQ(report.entries, size + 1);
}

TEST(LogCrash, LosesNothingAcknowledgedAtAnyPointWhereThePowerFails) {
  const std::uint64_t seeds = net::crash_seeds(20);
  std::uint64_t points = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    for (std::uint64_t point = 1;; ++point) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", point " + std::to_string(point));
      const auto disk = net::make_sim_file_system(seed * 1'000'003 + point);
      disk->crash_at(point);
      Acknowledged acknowledged;
      const bool done = write_log(*disk, acknowledged).has_value();
      disk->crash_at(0);
      if (!done) disk->restart();
      recovers(*disk, acknowledged);
      if (HasFatalFailure() || done) break;
      ++points;
    }
    if (HasFatalFailure()) break;
  }
  std::printf("%llu crash points, seeds 1 to %llu\n", static_cast<unsigned long long>(points),
              static_cast<unsigned long long>(seeds));
  EXPECT_GT(points, seeds * 20);
}

// A group without an Entry moves no sequence: what a failed sync left of it must not count beside
// what its successor holds.
TEST(LogCrash, ABodyStandsOnceWhereverASyncFails) {
  const std::string bytes(1500, 'b');
  const ObjectId object{9};
  const Digest salt{3};
  for (std::uint64_t seed = 1; seed < 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const auto disk = net::make_sim_file_system(seed);
    {
      auto log = Log::open(*disk, kSmall);
      ASSERT_TRUE(log && (*log)->append(entry_of(0)) && (*log)->commit());
      disk->fail_after(1 + seed % 8, Error::kCorrupt);
      const std::string_view all = bytes;
      ASSERT_TRUE((*log)->append_body({object, salt, false, all.substr(0, 1000)}));
      ASSERT_TRUE((*log)->commit());
      // The ring of a gateway that has not heard of it brings it once more.
      ASSERT_TRUE((*log)->append_body({object, salt, false, all.substr(0, 1000)}));
      ASSERT_TRUE((*log)->append_body({object, salt, true, all.substr(1000), 1000}));
      Entry entry = *decode(entry_of(1));
      entry.bodies.push_back({"request", object, bytes.size(), commitment_of(salt, bytes)});
      ASSERT_TRUE((*log)->append(*encode(entry)) && (*log)->commit());
    }
    disk->fail_after(0, Error::kCorrupt);
    const Report before = verify(*disk);
    ASSERT_TRUE(before.intact()) << before.damage->text();
    auto again = Log::open(*disk, kSmall);
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ((*again)->size(), 2u);
    EXPECT_EQ((*again)->read_body(object, 0, 9000).value_or("?"), bytes);
    EXPECT_FALSE((*again)->append_body({object, salt, true, "more", 1500}));
    EXPECT_TRUE((*again)->append_body({object, salt, true, "bbb", 1497})) << "it is there already";
    ASSERT_TRUE((*again)->append(entry_of(2)) && (*again)->commit());
    const Report report = verify(*disk);
    ASSERT_TRUE(report.intact()) << report.damage->text();
    EXPECT_EQ(report.bodies, 1u);
  }
}

// What the dearest commit of a log of several segments asks of its disk.
std::uint64_t dearest_commit(bool is_prepared) {
  const auto disk = net::make_sim_file_system(1);
  const auto log = std::move(*Log::open(*disk, {8 * 1024 * 1024}));
  const std::string body(kPayloadMost / 2, 'b');
  std::uint64_t dearest = 0;
  for (std::uint8_t i = 1; i < 40; ++i) {
    EXPECT_TRUE(log->append(entry_of(i)));
    EXPECT_TRUE(
        log->append_body({{i}, Digest{1}, true, std::string_view(body).substr(0, 700'000)}));
    const std::uint64_t before = disk->operations();
    EXPECT_TRUE(log->commit());
    if (i > 1) dearest = std::max(dearest, disk->operations() - before);  // the first makes one
    if (is_prepared) log->prepare();
    if (is_prepared) log->prepare();
  }
  EXPECT_GT(disk->list(".")->size(), 3u);
  return dearest;
}

TEST(Log, MakesASegmentAheadOfTheCommitThatNeedsIt) {
  EXPECT_GT(dearest_commit(false), 10u);
  EXPECT_LT(dearest_commit(true), 8u);
}

TEST(LogCrash, GoesOnInANewSegmentAfterASyncThatFailed) {
  for (std::uint64_t point = 1; point < 60; ++point) {
    SCOPED_TRACE("point " + std::to_string(point));
    const auto disk = net::make_sim_file_system(point);
    auto log = Log::open(*disk, kSmall);
    ASSERT_TRUE(log);
    disk->fail_after(point, Error::kExhausted);
    int failures = 0;
    for (int i = 0; i < kEntries; ++i) {
      ASSERT_TRUE((*log)->append(entry_of(i)));
      if (!(*log)->commit()) ++failures;
      (*log)->prepare();
    }
    disk->fail_after(0, Error::kExhausted);
    ASSERT_TRUE((*log)->commit());
    EXPECT_LE(failures, 1);
    EXPECT_EQ((*log)->size(), static_cast<std::uint64_t>(kEntries));
    log->reset();
    disk->pull_the_plug();
    disk->restart();
    recovers(*disk, {kEntries, 0});
  }
}

}  // namespace
}  // namespace gatehouse::audit
