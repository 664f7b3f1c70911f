// SPDX-License-Identifier: Apache-2.0
// The whole house, simulated: seeds by the dozen here, by the thousand in `make soak`. A seed that
// fails is named and replays:
//
//   GATEHOUSE_SIM_SEED=N build/dev/bin/house_sim_test
#include <gtest/gtest.h>
#include <sodium.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/log.h"
#include "sim/entropy.h"
#include "sim/world.h"

namespace gatehouse::sim {
namespace {

std::uint64_t number(const char* name, std::uint64_t usual) {
  const char* value = std::getenv(name);
  return value == nullptr ? usual : std::strtoull(value, nullptr, 10);
}

std::ptrdiff_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return std::distance(begin(all), end(all));
}

class HouseSim : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_GE(sodium_init(), 0);
    const bool is_told = std::getenv("GATEHOUSE_SIM_LOG") != nullptr;
    log_setup("sim", is_told ? LogLevel::kDebug : LogLevel::kNothing, LogForm::kText);
  }
};

struct Lived {
  std::vector<std::string> broken;
  std::map<std::string, std::uint64_t> reached;
  std::uint64_t digest = 0;
};

Lived live(std::uint64_t seed) {
  simulate_entropy(seed);
  Plan plan;
  plan.crashes = seed % 4 != 0;
  plan.kills = seed % 3 != 0;
  World world(seed, plan);
  world.live();
  return {world.broken(), world.reached(), world.digest()};
}

TEST_F(HouseSim, HoldsWhateverTheSeed) {
  const std::uint64_t first = number("GATEHOUSE_SIM_SEED", number("GATEHOUSE_SIM_FIRST", 1));
  const bool is_replay = std::getenv("GATEHOUSE_SIM_SEED") != nullptr;
  const std::uint64_t most = is_replay ? 1 : number("GATEHOUSE_SIM_SEEDS", 1'000'000);
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::seconds(number("GATEHOUSE_SIM_SECONDS", 8));
  std::map<std::string, std::uint64_t> reached;
  const auto before = open_descriptors();
  std::uint64_t done = 0;
  for (; done < most && (is_replay || std::chrono::steady_clock::now() < until); ++done) {
    const Lived lived = live(first + done);
    for (const std::string& what : lived.broken) {
      ADD_FAILURE() << "seed " << first + done << ": " << what;
    }
    for (const auto& [name, count] : lived.reached) reached[name] += count;
    ASSERT_EQ(open_descriptors(), before) << "seed " << first + done;
    if (!lived.broken.empty()) break;
  }
  std::printf("%llu seeds from %llu\n", static_cast<unsigned long long>(done),
              static_cast<unsigned long long>(first));
  for (const auto& [name, count] : reached) {
    std::printf("  %8llu  %s\n", static_cast<unsigned long long>(count), name.c_str());
  }
}

TEST_F(HouseSim, TheSameSeedIsTheSameStory) {
  for (const std::uint64_t seed : {5U, 7U}) {
    const Lived first = live(seed);
    const Lived second = live(seed);
    EXPECT_EQ(first.digest, second.digest);
    EXPECT_EQ(first.reached, second.reached);
  }
}

}  // namespace
}  // namespace gatehouse::sim
