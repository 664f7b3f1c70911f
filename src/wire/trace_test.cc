// SPDX-License-Identifier: Apache-2.0
#include "wire/trace.h"

#include <gtest/gtest.h>

namespace gatehouse::wire {
namespace {

TEST(Trace, ReadsAndWritesATraceparent) {
  const std::string text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  EXPECT_EQ(TraceParent::parse(text)->text(), text);
  EXPECT_TRUE(TraceParent::parse("cc" + text.substr(2) + "-what"));
  for (const std::string& bad :
       {text + "-x", text.substr(1), "ff" + text.substr(2), "cc" + text.substr(2) + "x",
        std::string("00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        std::string("00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
        std::string("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01")}) {
    EXPECT_EQ(TraceParent::parse(bad).error(), Error::kInvalid) << bad;
  }
}

}  // namespace
}  // namespace gatehouse::wire
