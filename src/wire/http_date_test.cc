// SPDX-License-Identifier: Apache-2.0
#include "wire/http_date.h"

#include <gtest/gtest.h>

namespace gatehouse::wire {
namespace {

constexpr std::int64_t kNow = 1764230400;  // 2025-11-27

// RFC 9110 section 5.6.7
TEST(HttpDate, IsTheSameInEachOfItsFormats) {
  for (const char* text : {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                           "Sun Nov  6 08:49:37 1994"}) {
    EXPECT_EQ(http_date(text, kNow), 784111777) << text;
  }
  EXPECT_EQ(http_date("Thu, 01 Jan 1970 00:00:00 GMT", kNow), 0);
  EXPECT_EQ(http_date("Thu, 29 Feb 2024 23:59:60 GMT", kNow), 1709251200);
  EXPECT_EQ(http_date("Wed Nov 16 08:49:37 1994", kNow), 784975777);
}

TEST(HttpDate, OfTwoDigitsIsOfTheCenturyThatIsNear) {
  EXPECT_EQ(http_date("Friday, 01-Jan-75 00:00:00 GMT", kNow),
            http_date("Tue, 01 Jan 2075 00:00:00 GMT", kNow));
  EXPECT_EQ(http_date("Friday, 01-Jan-76 00:00:00 GMT", kNow),
            http_date("Thu, 01 Jan 1976 00:00:00 GMT", kNow));
  constexpr std::int64_t kLater = 3976214400;  // 2096
  EXPECT_EQ(http_date("Friday, 01-Jan-01 00:00:00 GMT", kLater),
            http_date("Sat, 01 Jan 2101 00:00:00 GMT", kLater));
}

TEST(HttpDate, IsNothingElse) {
  for (const char* none : {"",
                           "7",
                           "Sun",
                           "Sun, 06 Nov 1994 08:49:37",
                           "Sun, 06 Nov 1994 08:49:37 UTC",
                           "Sun, 6 Nov 1994 08:49:37 GMT",
                           "Sun, 06 Nov 94 08:49:37 GMT",
                           "Sun, 31 Feb 1994 08:49:37 GMT",
                           "Sun, 00 Nov 1994 08:49:37 GMT",
                           "Sun, 06 nov 1994 08:49:37 GMT",
                           "Sun, 06 anF 1994 08:49:37 GMT",
                           "Sun, 06 Nov 1994 24:00:00 GMT",
                           "Sun, 06 Nov 1994 08:60:00 GMT",
                           "Sun, 06 Nov 1994 08:49:61 GMT",
                           "Sun, 06 Nov -994 08:49:37 GMT",
                           "Sun, 06 Nov 1994 08:49:37 GMT ",
                           " Sun, 06 Nov 1994 08:49:37 GMT",
                           "Sonntag, 06-Nov-94 08:49:37 GMT",
                           "Sun Nov 6 08:49:37 1994",
                           "1994-11-06T08:49:37Z"}) {
    EXPECT_EQ(http_date(none, kNow), std::nullopt) << none;
  }
}

}  // namespace
}  // namespace gatehouse::wire
