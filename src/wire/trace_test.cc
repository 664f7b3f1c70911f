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

TEST(Trace, ReadsATracestate) {
  EXPECT_EQ(parse_tracestate("").value(), "");
  EXPECT_EQ(parse_tracestate("rojo=00f067aa0ba902b7").value(), "rojo=00f067aa0ba902b7");
  EXPECT_EQ(parse_tracestate(" a=1 ,\t,b@c=x y,, 0d/e*-_=! ").value(), "a=1,b@c=x y,0d/e*-_=!");
  std::string many;
  for (int i = 0; i < 32; ++i) many += "k" + std::to_string(i) + "=v,";
  EXPECT_TRUE(parse_tracestate(many));
  const std::string key(256, 'k');
  EXPECT_TRUE(parse_tracestate(key + "=" + std::string(256, 'v')));
  for (const std::string& bad :
       {many + "k32=v", std::string("a"), std::string("=v"), std::string("a="), std::string("A=v"),
        std::string("a=1,a=2"), std::string("a=b=c"), std::string("-a=v"), std::string("@a=v"),
        key + "k=v", "k=" + std::string(257, 'v'), std::string("a=\x7f"), std::string("a =v")}) {
    EXPECT_EQ(parse_tracestate(bad).error(), Error::kInvalid) << bad;
  }
}

}  // namespace
}  // namespace gatehouse::wire
