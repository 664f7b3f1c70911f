// SPDX-License-Identifier: Apache-2.0
#include "wire/event_stream.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace gatehouse::wire {
namespace {

// The empty message and the one with a payload of the vectors that AWS's own encoders are tested
// with (aws-c-event-stream, tests/resources).
TEST(EventStream, ReadsTheVectorsOfItsMaker) {
  const std::string empty = *from_hex("000000100000000005c248eb7d98c8ff");
  EventStreamParser parser(1024);
  auto progress = parser.feed(empty);
  ASSERT_TRUE(progress) << progress.error().message();
  ASSERT_TRUE(progress->event);
  EXPECT_EQ(progress->event->data, "");
  EXPECT_EQ(event_stream_frame({}, ""), empty);
  const std::string payload =
      *from_hex("0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936");
  progress = parser.feed(payload);
  ASSERT_TRUE(progress) << progress.error().message();
  EXPECT_EQ(progress->event->data, "{'foo':'bar'}");
  EXPECT_EQ(event_stream_frame({}, "{'foo':'bar'}"), payload);
  EXPECT_EQ(crc32("123456789"), 0xcbf43926U);
}

TEST(EventStream, RefusesABitThatTurned) {
  const std::string frame = event_stream_frame({{":event-type", "x"}}, "payload");
  for (std::size_t i = 0; i < frame.size(); ++i) {
    std::string turned = frame;
    turned[i] = static_cast<char>(turned[i] ^ 1);
    EventStreamParser parser(1024);
    const auto progress = parser.feed(turned);
    EXPECT_FALSE(progress && progress->event) << i;
    EXPECT_FALSE(progress) << i;
    EXPECT_FALSE(parser.feed("more"));
  }
}

TEST(EventStream, RefusesAFrameThatIsTooLarge) {
  EventStreamParser parser(64);
  EXPECT_TRUE(parser.feed(event_stream_frame({}, std::string(48, 'x'))));
  EXPECT_EQ(parser.feed(event_stream_frame({}, std::string(49, 'x'))).error(), Error::kTooLarge);
}

TEST(EventStream, ReadsHeadersOfEveryTypeAndSplitAnywhere) {
  // bool true, bool false, byte, int, bytes, uuid, then a string.
  std::string headers;
  for (const auto& [type, value] :
       std::initializer_list<std::pair<int, std::string>>{{0, ""},
                                                          {1, ""},
                                                          {2, "a"},
                                                          {4, "abcd"},
                                                          {6, std::string("\0\2hi", 4)},
                                                          {9, std::string(16, 'u')}}) {
    headers += std::string("\1h") + static_cast<char>(type) + value;
  }
  std::string frame = event_stream_frame({{":event-type", "delta"}}, "data");
  // The headers above in front of the one that is there: lengths and checksums are made anew.
  const std::string own = frame.substr(12, frame.size() - 12 - 4 - 4);
  std::string made;
  const auto put = [&](std::size_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) made += static_cast<char>(value >> shift);
  };
  put(16 + headers.size() + own.size() + 4);
  put(headers.size() + own.size());
  put(crc32(made));
  made += headers + own + "data";
  put(crc32(made));
  for (std::size_t cut = 1; cut < made.size(); ++cut) {
    EventStreamParser parser(1024);
    ASSERT_FALSE(parser.feed(made.substr(0, cut))->event);
    const auto progress = parser.feed(std::string_view(made).substr(cut));
    ASSERT_TRUE(progress) << progress.error().message();
    ASSERT_TRUE(progress->event);
    EXPECT_EQ(progress->event->type, "delta");
    EXPECT_EQ(progress->event->data, "data");
    EXPECT_EQ(progress->event->raw, made);
  }
}

}  // namespace
}  // namespace gatehouse::wire
