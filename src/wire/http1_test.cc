// SPDX-License-Identifier: Apache-2.0
#include "wire/http1.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace gatehouse::wire {
namespace {

// How a text reads when it comes in pieces: of `step` bytes, or of random sizes for step 0.
template <class Parser>
std::string read_head(std::string_view text, std::size_t step, SeededRandom& random) {
  Parser parser;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t size = step != 0 ? step : 1 + random.below(9);
    const auto progress = parser.feed(text.substr(at, size));
    if (!progress) return "refused: " + progress.error().message();
    at += progress->consumed;
    if (progress->done) break;
  }
  if (!parser.done()) return "more";
  std::string out = "at " + std::to_string(at) + "\n";
  auto head = parser.take();
  if constexpr (std::is_same_v<Parser, RequestParser>) {
    EXPECT_TRUE(append_request_head(out, head));
  } else {
    EXPECT_TRUE(append_response_head(out, head));
  }
  return out;
}

template <class Parser>
std::string read_any_way(std::string_view text) {
  SeededRandom random(7);
  const std::string whole = read_head<Parser>(text, text.size() + 1, random);
  EXPECT_EQ(whole, read_head<Parser>(text, 1, random)) << text;
  for (int i = 0; i < 8; ++i) EXPECT_EQ(whole, read_head<Parser>(text, 0, random)) << text;
  return whole;
}

Result<RequestHead> request(std::string_view text) {
  read_any_way<RequestParser>(text);
  RequestParser parser;
  TRY(parser.feed(text));
  if (!parser.done()) return failure(Error::kClosed, "more");
  return parser.take();
}

Http1Fault fault_of(std::string_view text) {
  read_any_way<RequestParser>(text);
  RequestParser parser;
  (void)parser.feed(text);
  return parser.fault();
}

Http1Fault fault_of_fields(std::string_view fields) {
  return fault_of("POST / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n");
}
Http1Fault fault_of_target(std::string_view target) {
  return fault_of("GET " + std::string(target) + " HTTP/1.1\r\nHost: a.example\r\n\r\n");
}

TEST(Http1Request, IsReadWithItsFieldsInOrder) {
  const auto head = request(
      "POST /v1/chat?x=1 HTTP/1.1\r\nHost: API.example:8443\r\nX-A:  one \r\nx-a: two\r\n"
      "Content-Length: 5\r\n\r\nhello");
  ASSERT_TRUE(head) << head.error().message();
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->path_and_query(), "/v1/chat?x=1");
  EXPECT_EQ(head->authority->text(), "api.example:8443");
  EXPECT_EQ(head->headers.find("X-a"), "one");
  EXPECT_EQ(head->headers.count("X-A"), 2U);
  EXPECT_EQ(head->framing, (BodyFraming{BodyFraming::Kind::kLength, 5}));
}

TEST(Http1Request, LeavesTheBodyAlone) {
  RequestParser parser;
  const std::string_view head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const auto progress = parser.feed(std::string(head) + "rest");
  ASSERT_TRUE(progress);
  EXPECT_EQ(progress->consumed, head.size());
}

TEST(Http1Request, WithAmbiguousFramingIsRefused) {
  using enum Http1Fault;
  EXPECT_EQ(fault_of_fields("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
            kFramingConflict);
  EXPECT_EQ(fault_of_fields("Content-Length: 5\r\nContent-Length: 5\r\n"), kContentLength);
  for (const char* value : {"5, 5", "+5", "-1", "0x5", "", "5 5", "05", "99999999999999999999"}) {
    EXPECT_EQ(fault_of_fields("Content-Length: " + std::string(value) + "\r\n"), kContentLength);
  }
  for (const char* value : {"xchunked", "gzip, chunked", "chunked, identity", "identity", ""}) {
    EXPECT_EQ(fault_of_fields("Transfer-Encoding: " + std::string(value) + "\r\n"),
              kTransferEncoding);
  }
  EXPECT_EQ(fault_of_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            kTransferEncoding);
  EXPECT_EQ(fault_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), kTransferEncoding);
}

TEST(Http1Request, WithABrokenLineIsRefused) {
  using enum Http1Fault;
  EXPECT_EQ(fault_of("GET / HTTP/1.1\nHost: a\r\n\r\n"), kLineEnd);
  EXPECT_EQ(fault_of_fields("A: b\n"), kLineEnd);
  EXPECT_EQ(fault_of_fields("A: b\rc\r\n"), kHeaderValue);
  EXPECT_EQ(fault_of_fields("A: b\r\n c\r\n"), kFoldedLine);
  EXPECT_EQ(fault_of_fields("A : b\r\n"), kHeaderName);
  EXPECT_EQ(fault_of_fields(": b\r\n"), kHeaderName);
  EXPECT_EQ(fault_of_fields("no colon\r\n"), kHeaderName);
  EXPECT_EQ(fault_of_fields(std::string_view("A: b\0c\r\n", 8)), kHeaderValue);
  EXPECT_EQ(fault_of_fields("A: \x7f\r\n"), kHeaderValue);
  EXPECT_EQ(fault_of("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), kStartLine);
}

TEST(Http1Request, WithAStrangeStartLineIsRefused) {
  using enum Http1Fault;
  EXPECT_EQ(fault_of("GET / HTTP/2.0\r\n"), kVersion);
  EXPECT_EQ(fault_of("GET / http/1.1\r\n"), kVersion);
  EXPECT_EQ(fault_of("GET /\r\n"), kStartLine);
  EXPECT_EQ(fault_of("G{T / HTTP/1.1\r\n"), kMethod);
  EXPECT_EQ(fault_of("GET  / HTTP/1.1\r\n"), kTarget);
  for (const char* target : {"/a b", "/a#b", "/\xc3\xa9", "*", "a.example:80", "//\\x", "/\x01",
                             "ftp://a.example/", "http://u:p@a.example/", "http://a.example?x"}) {
    EXPECT_EQ(fault_of_target(target), kTarget) << target;
  }
  EXPECT_EQ(fault_of("CONNECT a.example HTTP/1.1\r\n"), kTarget);
  EXPECT_EQ(fault_of("CONNECT /x HTTP/1.1\r\n"), kTarget);
  EXPECT_EQ(fault_of(std::string_view("CONNECT evil.test\0.ok.com:443 HTTP/1.1\r\n", 40)), kTarget);
}

TEST(Http1Request, NamesExactlyOneHost) {
  using enum Http1Fault;
  EXPECT_EQ(fault_of("GET / HTTP/1.1\r\n\r\n"), kHost);
  EXPECT_EQ(fault_of("GET / HTTP/1.1\r\nHost:\r\n\r\n"), kHost);
  EXPECT_EQ(fault_of("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), kHost);
  EXPECT_EQ(fault_of("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), kHost);
  EXPECT_EQ(fault_of("GET / HTTP/1.1\r\nHost: 127.1\r\n\r\n"), kHost);
  EXPECT_EQ(fault_of("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"), kHostMismatch);
  EXPECT_EQ(fault_of("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n"), kHostMismatch);
  EXPECT_EQ(fault_of("GET http://a/ HTTP/1.1\r\nHost: A:80\r\n\r\n"), kNone);
  EXPECT_EQ(fault_of("CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n"), kHostMismatch);
  EXPECT_EQ(fault_of("GET / HTTP/1.0\r\n\r\n"), kNone);
}

TEST(Http1Request, AboveABoundIsRefused) {
  using enum Http1Fault;
  EXPECT_EQ(fault_of("GET /" + std::string(kMaxStartLine, 'a') + " HTTP/1.1\r\n\r\n"),
            kStartLineTooLong);
  EXPECT_EQ(fault_of_fields("A: " + std::string(kMaxHeadBytes, 'a') + "\r\n"), kHeadTooLarge);
  std::string many;
  for (std::size_t i = 0; i < kMaxHeaders; ++i) many += "A: b\r\n";
  EXPECT_EQ(fault_of_fields(many), kTooManyHeaders);
}

Result<BodyFraming> framing(std::string_view text, std::string_view method) {
  read_any_way<ResponseParser>(text);
  ResponseParser parser;
  TRY(parser.feed(text));
  if (!parser.done()) return failure(Error::kClosed, "more");
  return response_framing(parser.take(), method);
}

TEST(Http1Response, HasTheBodyThatTheStandardSays) {
  using Kind = BodyFraming::Kind;
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET")->kind, Kind::kLength);
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD")->kind, Kind::kNone);
  EXPECT_EQ(framing("HTTP/1.1 200 \r\n\r\n", "GET")->kind, Kind::kUntilClose);
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\n\r\n", "CONNECT")->kind, Kind::kNone);
  EXPECT_EQ(framing("HTTP/1.1 304 x\r\nContent-Length: 3\r\n\r\n", "GET")->kind, Kind::kNone);
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET")->kind,
            Kind::kChunked);
  EXPECT_EQ(framing("HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", "GET").error(),
            Error::kInvalid);
  EXPECT_EQ(framing("HTTP/1.1 2000 OK\r\n\r\n", "GET").error(), Error::kInvalid);
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\n\r\n", "GET").error(), Error::kInvalid);
}

std::string read_body(BodyFraming framing, std::string_view text, std::size_t step) {
  BodyReader reader(framing);
  std::string out;
  std::size_t at = 0;
  while (at < text.size() && !reader.done()) {
    const std::string_view chunk = text.substr(at, step);
    const auto piece = reader.feed(chunk);
    if (!piece) return "refused: " + std::string(label(reader.fault()));
    out += piece->payload;
    at += piece->consumed;
  }
  for (const Header header : reader.trailers()) {
    out.append("|").append(header.name).append("=").append(header.value);
  }
  return out + (reader.done() ? "|done at " + std::to_string(at) : "|more");
}

std::string read_chunked(std::string_view text) {
  const BodyFraming chunked{BodyFraming::Kind::kChunked, 0};
  const std::string whole = read_body(chunked, text, text.size() + 1);
  for (std::size_t step = 1; step < 9; ++step) EXPECT_EQ(read_body(chunked, text, step), whole);
  return whole;
}

TEST(Http1Body, InChunksIsReadStrictly) {
  EXPECT_EQ(read_chunked("5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-Sum: 1\r\n\r\nnext"),
            "hello world|X-Sum=1|done at 40");
  EXPECT_EQ(read_chunked("5\nhello\r\n0\r\n\r\n"), "refused: chunk_size");
  EXPECT_EQ(read_chunked("5 \r\nhello\r\n0\r\n\r\n"), "refused: chunk_size");
  EXPECT_EQ(read_chunked("0x5\r\nhello"), "refused: chunk_size");
  EXPECT_EQ(read_chunked("\r\n"), "refused: chunk_size");
  EXPECT_EQ(read_chunked("0000000000000005\r\n"), "refused: chunk_size");
  EXPECT_EQ(read_chunked("5;a b\r\nhello"), "refused: chunk_extension");
  EXPECT_EQ(read_chunked("5;a\nhello"), "refused: chunk_extension");
  EXPECT_EQ(read_chunked("5;" + std::string(300, 'a')), "refused: chunk_extension");
  EXPECT_EQ(read_chunked("5\r\nhello!\r\n"), "refused: chunk_end");
  EXPECT_EQ(read_chunked("0\r\nContent-Length: 3\r\n\r\n"), "refused: trailer");
  EXPECT_EQ(read_chunked("0\r\nA: b\n\r\n"), "refused: line_end");
}

TEST(Http1Body, OfALengthEndsThere) {
  EXPECT_EQ(read_body({BodyFraming::Kind::kLength, 3}, "abcdef", 2), "abc|done at 3");
  BodyReader reader({BodyFraming::Kind::kLength, 3});
  EXPECT_TRUE(reader.feed("ab"));
  EXPECT_EQ(reader.finish().error(), Error::kUpstream);
}

TEST(Http1Body, WhatIsPlainMayBeTakenElsewhere) {
  BodyReader counted({BodyFraming::Kind::kLength, 5});
  EXPECT_EQ(counted.plain(), 5U);
  counted.took(3);
  EXPECT_EQ(counted.feed("lo!")->payload, "lo");
  EXPECT_TRUE(counted.done());
  EXPECT_EQ(counted.plain(), 0U);

  BodyReader chunked({BodyFraming::Kind::kChunked, 0});
  EXPECT_EQ(chunked.plain(), 0U);
  ASSERT_EQ(chunked.feed("5\r\n")->consumed, 3U);
  EXPECT_EQ(chunked.plain(), 5U);
  chunked.took(5);
  EXPECT_EQ(chunked.plain(), 0U) << "the chunk's end is no payload";
  EXPECT_EQ(chunked.finish().error(), Error::kUpstream);

  EXPECT_EQ(BodyReader({BodyFraming::Kind::kUntilClose, 0}).plain(), 0U);
  EXPECT_EQ(BodyReader({BodyFraming::Kind::kNone, 0}).plain(), 0U);
}

TEST(Http1Writer, RefusesWhatWouldSplitAMessage) {
  RequestHead head{.method = "GET", .target = "/"};
  head.headers.add("Host", "a");
  std::string out;
  ASSERT_TRUE(append_request_head(out, head));
  EXPECT_EQ(out, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  head.headers.set("X", "a\r\nEvil: b");
  EXPECT_EQ(append_request_head(out, head).error(), Error::kInvalid);
  EXPECT_EQ(out, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST(Headers, AreChangedInPlace) {
  Headers headers;
  headers.add("A", "1");
  headers.add("B", "2");
  headers.add("a", "3");
  headers.set("A", *headers.find("B"));
  EXPECT_EQ(headers.size(), 2U);
  EXPECT_EQ(headers[0].value, "2");
  headers.add("Connection", "close, B");
  EXPECT_TRUE(headers.has_token("connection", "Close"));
  remove_hop_by_hop(headers);
  EXPECT_EQ(headers.size(), 1U);
}

}  // namespace
}  // namespace gatehouse::wire
