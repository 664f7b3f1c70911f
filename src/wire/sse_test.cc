// SPDX-License-Identifier: Apache-2.0
#include "wire/sse.h"

#include <gtest/gtest.h>

namespace gatehouse::wire {
namespace {

std::string read(std::string_view stream, std::size_t step) {
  SseParser parser;
  std::string out;
  std::string raw;
  for (std::size_t at = 0; at < stream.size();) {
    const auto progress = parser.feed(stream.substr(at, step));
    if (!progress) return out + "refused";
    at += progress->consumed;
    if (!progress->event) continue;
    EXPECT_EQ(progress->event->begin, raw.size());
    raw += progress->event->raw;
    if (progress->event->has_data) {
      out.append(progress->event->type).append("(").append(progress->event->data).append(")");
    }
  }
  EXPECT_EQ(raw + std::string(parser.unfinished()), stream);
  return out + parser.last_event_id();
}

std::string read_any_way(std::string_view stream) {
  const std::string whole = read(stream, stream.size() + 1);
  for (std::size_t step = 1; step < 12; ++step) EXPECT_EQ(read(stream, step), whole);
  return whole;
}

TEST(Sse, ReadsAnyLineEnd) {
  EXPECT_EQ(read_any_way("data: {\"a\":1}\n\ndata: b\n\n"), "({\"a\":1})(b)");
  EXPECT_EQ(read_any_way("data: a\r\n\r\ndata: b\r\n\r\n"), "(a)(b)");
  EXPECT_EQ(read_any_way("data: a\r\rdata: b\r\r"), "(a)(b)");
}

TEST(Sse, FollowsTheStandardsExamples) {
  EXPECT_EQ(read_any_way("data: YHOO\ndata: +2\ndata: 10\n\n"), "(YHOO\n+2\n10)");
  EXPECT_EQ(read_any_way(": c\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n"),
            "(first)(second)( third)");
  EXPECT_EQ(read_any_way("data\n\ndata\ndata\n\ndata:"), "()(\n)");
  EXPECT_EQ(read_any_way("\xef\xbb\xbf"
                         "event: x\ndata: a\nid: 7\nretry: 10\n\n"),
            "x(a)7");
  EXPECT_EQ(read_any_way("data:\ndata:\ndata: x\n\n"), "(\n\nx)");
}

TEST(Sse, BoundsAnEvent) {
  SseParser parser;
  const std::string much = "data: " + std::string(kMaxSseEvent, 'a');
  EXPECT_EQ(parser.feed(much).error(), Error::kTooLarge);
  EXPECT_EQ(parser.feed("data: b\n\n").error(), Error::kTooLarge);
}

}  // namespace
}  // namespace gatehouse::wire
