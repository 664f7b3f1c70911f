// SPDX-License-Identifier: Apache-2.0
#include "ipc/histogram.h"

#include <gtest/gtest.h>

#include <map>

namespace gatehouse::ipc {
namespace {

TEST(Histogram, PutsATimeIntoTheFirstBucketThatHoldsIt) {
  Histogram times;
  times.observe(Nanos(-5));
  times.observe(std::chrono::microseconds(100));  // a bound is inclusive
  times.observe(std::chrono::microseconds(101));
  times.observe(std::chrono::hours(1));
  CounterList list;
  times.add_to(list, "time");
  std::map<std::string, std::uint64_t> said;
  for (const Counter& counter : list.counters) said[counter.name] = counter.value;
  EXPECT_EQ(said.size(), Histogram::kBuckets + 1);
  EXPECT_EQ(said["time.0"], 2U);
  EXPECT_EQ(said["time.1"], 1U);
  EXPECT_EQ(said["time.20"], 1U);
  EXPECT_EQ(said["time.sum_ns"], 3'600'000'201'000U);
}

TEST(Histogram, KnowsItsPlacesAndNoOthers) {
  EXPECT_EQ(Histogram::place_of("0"), 0U);
  EXPECT_EQ(Histogram::place_of("20"), 20U);
  EXPECT_EQ(Histogram::place_of("sum_ns"), Histogram::kBuckets);
  for (const char* text : {"", "21", "-1", "00", "1 ", "99999999999999999999", "sum"}) {
    EXPECT_FALSE(Histogram::place_of(text)) << text;
  }
}

}  // namespace
}  // namespace gatehouse::ipc
