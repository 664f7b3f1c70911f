// SPDX-License-Identifier: Apache-2.0
#include "supervisor/house_key.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/key_file.h"
#include "net/sim_file.h"

namespace gatehouse::supervisor {
namespace {

std::string in_memory(const Result<net::Descriptor>& key) {
  std::string bytes(100, '\0');
  const ssize_t got = key ? pread(key->get(), bytes.data(), bytes.size(), 0) : 0;
  bytes.resize(static_cast<std::size_t>(got));
  return bytes;
}

TEST(HouseKey, StaysTheSameFromStartToStart) {
  const auto disk = net::make_sim_file_system(1);
  const std::string first = in_memory(house_key(*disk));
  EXPECT_EQ(first.size(), kKeySize);
  disk->pull_the_plug();
  disk->restart();
  EXPECT_EQ(in_memory(house_key(*disk)), first);
}

TEST(HouseKey, OfBeforeThereWasAVersionIsKeptWhereverThePowerFails) {
  const std::string old(kKeySize, 'k');
  for (std::uint64_t point = 1;; ++point) {
    const auto disk = net::make_sim_file_system(point);
    ASSERT_TRUE(net::replace_file(*disk, "house-key", old));
    const std::uint64_t before = disk->operations();
    disk->crash_at(before + point);
    static_cast<void>(house_key(*disk));
    const bool is_through = disk->operations() < before + point;
    disk->restart();
    EXPECT_EQ(in_memory(house_key(*disk)), old) << "point " << point;
    EXPECT_TRUE(net::read_file(*disk, "house-key", kKeyFileMost)->starts_with("GHHOUSE1"));
    if (is_through) break;
  }
}

TEST(HouseKey, ThatIsDamagedIsMadeAnewAndThatOfANewerGatehouseIsNot) {
  const auto disk = net::make_sim_file_system(1);
  ASSERT_TRUE(net::replace_file(*disk, "house-key", "cut"));
  EXPECT_EQ(in_memory(house_key(*disk)).size(), kKeySize);
  const std::string newer = "GHHOUSE2" + std::string(100, 'x');
  ASSERT_TRUE(net::replace_file(*disk, "house-key", newer));
  EXPECT_EQ(house_key(*disk).error(), Error::kUnsupported);
  EXPECT_EQ(net::read_file(*disk, "house-key", kKeyFileMost).value_or(""), newer);
}

}  // namespace
}  // namespace gatehouse::supervisor
