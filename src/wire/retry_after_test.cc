// SPDX-License-Identifier: Apache-2.0
#include "wire/retry_after.h"

#include <gtest/gtest.h>

namespace gatehouse::wire {
namespace {

using namespace std::chrono_literals;

constexpr WallTime kNow(784111777'500'000'000);  // Sun, 06 Nov 1994 08:49:37 GMT

TEST(RetryAfter, IsSecondsWithinABound) {
  EXPECT_EQ(retry_after("7", 1h, kNow), Nanos(7s));
  EXPECT_EQ(retry_after("86400", 1h, kNow), Nanos(1h)) << "but not for ever";
  EXPECT_EQ(retry_after("4294967295", 60s, kNow), Nanos(60s));
  EXPECT_EQ(retry_after("99999999999999999999", 1h, kNow), Nanos(1h));
  for (const char* none :
       {"", "0", "-1", "1.5", "7 ", " 7", "soon", "99999999999999999999 ", "Fri, 31 Dec 1999"}) {
    EXPECT_EQ(retry_after(none, 1h, kNow), std::nullopt) << none;
  }
}

TEST(RetryAfter, IsWhatIsLeftUntilADateWithinABound) {
  EXPECT_EQ(retry_after("Sun, 06 Nov 1994 08:50:37 GMT", 1h, kNow), Nanos(60s));
  EXPECT_EQ(retry_after("Sunday, 06-Nov-94 08:50:37 GMT", 1h, kNow), Nanos(60s));
  EXPECT_EQ(retry_after("Mon, 07 Nov 1994 08:49:37 GMT", 1h, kNow), Nanos(1h));
  EXPECT_EQ(retry_after("Fri, 31 Dec 9999 23:59:59 GMT", 1h, kNow), Nanos(1h));
  EXPECT_EQ(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 1h, kNow), std::nullopt) << "it is over";
  EXPECT_EQ(retry_after("Fri, 01 Jan 0001 00:00:00 GMT", 1h, kNow), std::nullopt);
}

}  // namespace
}  // namespace gatehouse::wire
