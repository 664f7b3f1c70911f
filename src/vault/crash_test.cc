// SPDX-License-Identifier: Apache-2.0
// The sealed store over a disk that loses what was not synced.
#include <gtest/gtest.h>

#include <cstdio>

#include "net/sim_file.h"
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

}  // namespace
}  // namespace gatehouse::vault
