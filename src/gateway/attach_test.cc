// SPDX-License-Identifier: Apache-2.0
#include "gateway/attach.h"

#include <gtest/gtest.h>

namespace gatehouse::gateway {
namespace {

TEST(PerSecond, GivesSoManyInASecondAndNoMore) {
  PerSecond records(Attach::kRecordedMost);
  for (int second = 0; second < 3; ++second) {
    const Instant begin{Nanos(std::chrono::seconds(second))};
    std::uint32_t given = 0;
    for (int i = 0; i < 1000; ++i) {
      if (records.take(begin + std::chrono::microseconds(i * 999))) ++given;
    }
    EXPECT_EQ(given, Attach::kRecordedMost) << second;
  }
}

}  // namespace
}  // namespace gatehouse::gateway
