// SPDX-License-Identifier: Apache-2.0
#include "gateway/timing.h"

#include <gtest/gtest.h>

namespace gatehouse::gateway {
namespace {

TEST(Timing, TellsTheGatewaysOwnPartApartFromAllThatItWaitedFor) {
  const Timing timing{std::chrono::microseconds(1500), std::chrono::microseconds(100),
                      std::chrono::milliseconds(120)};
  EXPECT_EQ(server_timing(timing, std::chrono::microseconds(122'400)),
            "gatehouse;dur=0.800, request;dur=1.500, lease;dur=0.100, upstream;dur=120.000");
}

TEST(Timing, TheGatewaysPartIsNeverBelowNone) {
  EXPECT_EQ(own_part(Timing{Nanos(5), Nanos(0), Nanos(9)}, Nanos(13)), Nanos(0));
}

TEST(Timing, WhatLivesIsCountedAsLongAsItDoes) {
  std::uint64_t live = 0;
  {
    const Live one(live);
    const Live two(live);
    EXPECT_EQ(live, 2U);
  }
  EXPECT_EQ(live, 0U);
}

}  // namespace
}  // namespace gatehouse::gateway
