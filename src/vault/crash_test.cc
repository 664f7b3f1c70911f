// SPDX-License-Identifier: Apache-2.0
// The sealed store over a disk that loses what was not synced.
#include <gtest/gtest.h>

#include <cstdio>

#include "base/key_file.h"
#include "net/sim_file.h"
#include "vault/root_key.h"
#include "vault/store.h"

namespace gatehouse::vault {
namespace {

constexpr int kPuts = 12;

RecordKey key_of(int number) {
  return {"acme", "user" + std::to_string(number % 3), "model", ipc::CredentialKind::kStatic};
}
std::string value_of(int number) { return "secret number " + std::to_string(number); }

// Puts until it is through or the disk fails; `last` is the number of the last acknowledged put of
// each user.
Result<void> fill(net::FileSystem& files, const Sealer& sealer, std::array<int, 3>& last) {
  const auto store = TRY(Store::open(files, sealer));
  for (int i = 0; i < kPuts; ++i) {
    TRY(store->put(key_of(i), Secret(value_of(i)), i));
    last.at(static_cast<std::size_t>(i % 3)) = i;
  }
  return {};
}

TEST(StoreCrash, KeepsTheOldOrTheNewValueWhereverThePowerFails) {
  const Sealer sealer(Secret(std::string(32, 'k')));
  const std::uint64_t seeds = net::crash_seeds(20);
  std::uint64_t points = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    for (std::uint64_t point = 1;; ++point) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", point " + std::to_string(point));
      const auto disk = net::make_sim_file_system(seed * 1'000'003 + point);
      disk->crash_at(point);
      std::array<int, 3> last = {-1, -1, -1};
      const bool done = fill(*disk, sealer, last).has_value();
      if (done) break;
      disk->restart();
      auto store = Store::open(*disk, sealer);
      ASSERT_TRUE(store) << store.error().message();
      for (int user = 0; user < 3; ++user) {
        const int had = last.at(static_cast<std::size_t>(user));
        const auto value = (*store)->get(key_of(user));
        const int next = had < 0 ? user : had + 3;
        const bool is_old = had >= 0 && value && *value == Secret(value_of(had));
        const bool is_new = value && *value == Secret(value_of(next));
        EXPECT_TRUE(is_old || is_new || (had < 0 && !value)) << "user " << user;
      }
      ++points;
    }
  }
  std::printf("%llu crash points, seeds 1 to %llu\n", static_cast<unsigned long long>(points),
              static_cast<unsigned long long>(seeds));
  EXPECT_GT(points, seeds * 30);
}

// What is in the directory of a vault of before the key's file had a version.
void lay_down(net::FileSystem& files, const std::string& key) {
  ASSERT_TRUE(net::replace_file(files, "root.key", key));
  const Sealer sealer{Secret(key)};
  std::array<int, 3> last{};
  ASSERT_TRUE(fill(files, sealer, last));
}

TEST(RootKeyCrash, ItsMigrationNeverLosesItWhereverThePowerFails) {
  const std::string old(kKeySize, 'k');
  const std::uint64_t seeds = net::crash_seeds(20);
  std::uint64_t points = 0;
  bool was_old = false;
  bool was_new = false;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    for (std::uint64_t point = 1;; ++point) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", point " + std::to_string(point));
      const auto disk = net::make_sim_file_system(seed * 1'000'003 + point);
      lay_down(*disk, old);
      const std::uint64_t before = disk->operations();
      disk->crash_at(before + point);
      // A vault whose key cannot be written anew works with the key that it has.
      EXPECT_TRUE(root_key(*disk).value_or(Secret(old)) == Secret(old));
      if (disk->operations() < before + point) break;  // it was through
      disk->restart();
      const std::string found = net::read_file(*disk, "root.key", kKeyFileMost).value_or("");
      (found == old ? was_old : was_new) = true;
      const auto key = root_key(*disk);
      ASSERT_TRUE(key) << key.error().message();
      ASSERT_TRUE(*key == Secret(old));
      const Sealer sealer(key->duplicate(Purpose::kDerive));
      EXPECT_TRUE(Store::open(*disk, sealer)) << "what it sealed opens";
      EXPECT_TRUE(net::read_file(*disk, "root.key", kKeyFileMost)->starts_with("GHROOTK1"));
      ++points;
    }
  }
  EXPECT_GE(points, seeds * 5) << "making, cutting, writing, syncing, renaming, syncing";
  EXPECT_TRUE(was_old && was_new);
}

TEST(RootKeyCrash, AKeyThatIsBeingMadeIsNoneOrWhole) {
  for (std::uint64_t point = 1;; ++point) {
    const auto disk = net::make_sim_file_system(point);
    disk->crash_at(point);
    const bool made = root_key(*disk).has_value();
    if (disk->operations() < point) break;
    disk->restart();
    const auto again = root_key(*disk);
    ASSERT_TRUE(again) << made << ": " << again.error().message();
  }
}

TEST(RootKeyCrash, ADiskThatTakesNothingDoesNotTakeTheKey) {
  const std::string old(kKeySize, 'k');
  for (std::uint64_t operation = 1; operation <= 6; ++operation) {
    const auto disk = net::make_sim_file_system(operation);
    lay_down(*disk, old);
    disk->fail_after(operation, Error::kExhausted);
    const auto key = root_key(*disk);
    ASSERT_TRUE(key) << key.error().message();
    EXPECT_TRUE(*key == Secret(old));
    disk->fail_after(0, Error::kExhausted);
    EXPECT_TRUE(root_key(*disk).value_or(Secret()) == Secret(old));
  }
}

TEST(RootKeyCrash, OneOfANewerGatehouseIsRefusedAndLeftAlone) {
  const auto disk = net::make_sim_file_system(1);
  const std::string newer = "GHROOTK2" + std::string(100, 'x');
  ASSERT_TRUE(net::replace_file(*disk, "root.key", newer));
  EXPECT_EQ(root_key(*disk).error(), Error::kUnsupported);
  EXPECT_EQ(net::read_file(*disk, "root.key", kKeyFileMost).value_or(""), newer);
}

}  // namespace
}  // namespace gatehouse::vault
