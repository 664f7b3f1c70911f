// SPDX-License-Identifier: Apache-2.0
#include "wire/retry_after.h"

#include <gtest/gtest.h>

namespace gatehouse::wire {
namespace {

using namespace std::chrono_literals;

TEST(RetryAfter, IsSecondsWithinABound) {
  EXPECT_EQ(retry_after("7", 1h), Nanos(7s));
  EXPECT_EQ(retry_after("86400", 1h), Nanos(1h)) << "but not for ever";
  EXPECT_EQ(retry_after("4294967295", 60s), Nanos(60s));
  EXPECT_EQ(retry_after("99999999999999999999", 1h), Nanos(1h));
  for (const char* none : {"", "0", "-1", "1.5", "7 ", " 7", "soon", "99999999999999999999 ",
                           "Fri, 31 Dec 1999 23:59:59 GMT"}) {
    EXPECT_EQ(retry_after(none, 1h), std::nullopt) << none;
  }
}

}  // namespace
}  // namespace gatehouse::wire
