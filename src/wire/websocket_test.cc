// SPDX-License-Identifier: Apache-2.0
#include "wire/websocket.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace gatehouse::wire {
namespace {

constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";  // RFC 6455 section 1.3
constexpr WebSocketMask kMask = {0x37, 0xfa, 0x21, 0x3d};

std::string frame(WebSocketOpcode opcode, std::string_view payload, bool is_final = true) {
  std::string out;
  append_websocket_frame(out, opcode, is_final, payload, std::nullopt);
  return out;
}

// What is told of `input`, in pieces of that size: "text:Hello", "text-:Hel" where more follows,
// "-text:lo" of a later part, "close 1000:bye"; "!1002" for an error and its close code.
std::vector<std::string> told(WebSocketParser& parser, std::string_view input,
                              std::size_t piece = SIZE_MAX) {
  std::vector<std::string> out;
  while (!input.empty()) {
    std::string_view rest = input.substr(0, piece);
    input.remove_prefix(rest.size());
    while (!rest.empty()) {
      const auto progress = parser.feed(rest);
      if (!progress) {
        out.push_back("!" + std::to_string(parser.close_code()));
        return out;
      }
      rest.remove_prefix(progress->consumed);
      if (!progress->event) break;
      const WebSocketEvent& event = *progress->event;
      std::string name;
      switch (event.opcode) {
        case WebSocketOpcode::kText:
          name = "text";
          break;
        case WebSocketOpcode::kBinary:
          name = "binary";
          break;
        case WebSocketOpcode::kPing:
          name = "ping";
          break;
        case WebSocketOpcode::kPong:
          name = "pong";
          break;
        default:
          name = "close " + std::to_string(event.code);
      }
      out.push_back((event.begins ? "" : "-") + name + (event.ends ? ":" : "-:")
                    + std::string(event.payload));
    }
  }
  return out;
}

using Told = std::vector<std::string>;

Told told_of_server(std::string_view input) {
  WebSocketParser parser(WebSocketPeer::kServer);
  return told(parser, input);
}

TEST(WebSocket, ReadsTheExamplesOfTheRfc) {  // section 5.7
  EXPECT_EQ(told_of_server(*from_hex("810548656c6c6f")), Told{"text:Hello"});
  WebSocketParser masked(WebSocketPeer::kClient);
  EXPECT_EQ(told(masked, *from_hex("818537fa213d7f9f4d5158")), Told{"text:Hello"});
  EXPECT_EQ(told_of_server(*from_hex("010348656c80026c6f")), (Told{"text-:Hel", "-text:lo"}));
  EXPECT_EQ(told_of_server(*from_hex("890548656c6c6f")), Told{"ping:Hello"});
  WebSocketParser pong(WebSocketPeer::kClient);
  EXPECT_EQ(told(pong, *from_hex("8a8537fa213d7f9f4d5158")), Told{"pong:Hello"});
  const std::string middle(256, 'x');
  EXPECT_EQ(told_of_server(*from_hex("827e0100") + middle), Told{"binary:" + middle});
  const std::string large(65'536, 'x');
  EXPECT_EQ(told_of_server(*from_hex("827f0000000000010000") + large), Told{"binary:" + large});
}

TEST(WebSocket, WritesTheExamplesOfTheRfc) {
  EXPECT_EQ(to_hex(bytes_of(frame(WebSocketOpcode::kText, "Hello"))), "810548656c6c6f");
  std::string masked;
  append_websocket_frame(masked, WebSocketOpcode::kText, true, "Hello", kMask);
  EXPECT_EQ(to_hex(bytes_of(masked)), "818537fa213d7f9f4d5158");
  EXPECT_EQ(frame(WebSocketOpcode::kBinary, std::string(256, 'x')).substr(0, 4),
            *from_hex("827e0100"));
  EXPECT_EQ(frame(WebSocketOpcode::kBinary, std::string(65'536, 'x')).substr(0, 10),
            *from_hex("827f0000000000010000"));
}

TEST(WebSocket, TellsTheSameHoweverItIsSplit) {
  std::string all = frame(WebSocketOpcode::kText, "a\xc3", false)
                    + frame(WebSocketOpcode::kPing, "p")
                    + frame(WebSocketOpcode::kContinuation, "", false)
                    + frame(WebSocketOpcode::kContinuation, "\xa4z", true)
                    + frame(WebSocketOpcode::kBinary, std::string(200'000, 'b'))
                    + frame(WebSocketOpcode::kClose, std::string("\x03\xe8") + "bye");
  WebSocketParser whole(WebSocketPeer::kServer);
  const Told expected = told(whole, all);
  ASSERT_EQ(expected.size(), 8u);
  // A text is told in whole characters.
  EXPECT_EQ(expected[0], "text-:a");
  EXPECT_EQ(expected[1], "ping:p");
  EXPECT_EQ(expected[2], "-text:\xc3\xa4z");
  EXPECT_EQ(expected.back(), "close 1000:bye");
  for (const std::size_t piece : {1U, 2U, 3U, 5U, 1000U, 65'537U}) {
    WebSocketParser parser(WebSocketPeer::kServer);
    EXPECT_EQ(told(parser, all, piece), expected) << piece;
  }
}

TEST(WebSocket, TellsALargeMessageInPartsOfAtMost64KiB) {
  const Told parts = told_of_server(frame(WebSocketOpcode::kBinary, std::string(200'000, 'b')));
  ASSERT_EQ(parts.size(), 4u);
  EXPECT_TRUE(parts[0].starts_with("binary-:"));
  EXPECT_TRUE(parts[1].starts_with("-binary-:"));
  EXPECT_TRUE(parts[3].starts_with("-binary:"));
}

TEST(WebSocket, UnmasksAtAnyOffset) {
  std::string payload;
  for (int i = 0; i < 100'000; ++i) payload += static_cast<char>('a' + i % 26);
  std::string masked;
  append_websocket_frame(masked, WebSocketOpcode::kBinary, true, payload, kMask);
  for (const std::size_t piece : {1U, 3U, 13U, 4096U}) {
    WebSocketParser parser(WebSocketPeer::kClient);
    const Told parts = told(parser, masked, piece);
    ASSERT_EQ(parts.size(), 2u);
    EXPECT_EQ(parts[0].substr(8) + parts[1].substr(8), payload);
  }
}

struct Violation {
  std::string_view what;
  std::string hex;
  std::string_view code;
};

TEST(WebSocket, RefusesWhatBreaksTheProtocol) {
  const Violation violations[] = {
      {"a mask from a server", "818537fa213d7f9f4d5158", "!1002"},
      {"reserved bit 1, as permessage-deflate sets it", "c10548656c6c6f", "!1002"},
      {"reserved bit 2", "a10548656c6c6f", "!1002"},
      {"reserved bit 3", "910548656c6c6f", "!1002"},
      {"opcode 3", "8300", "!1002"},
      {"opcode 11", "8b00", "!1002"},
      {"opcode 15", "8f00", "!1002"},
      {"a ping in fragments", "0900", "!1002"},
      {"a ping above 125 bytes", "897e007e", "!1002"},
      {"a continuation of nothing", "8000", "!1002"},
      {"a text of 125 in two bytes", "817e007d", "!1002"},
      {"a text of 65535 in eight bytes", "817f000000000000ffff", "!1002"},
      {"a length with its highest bit", "817f8000000000000000", "!1002"},
      {"a length of 2^62", "817f4000000000000000", "!1009"},
      {"a text that is not UTF-8", "8102c328", "!1007"},
      {"a text with a surrogate", "8103eda080", "!1007"},
      {"a text that ends inside of a character", "8101c3", "!1007"},
      {"a Close of one byte", "880103", "!1002"},
      {"a Close with 1005", "880203ed", "!1002"},
      {"a Close with 1006", "880203ee", "!1002"},
      {"a Close with 1015", "880203f7", "!1002"},
      {"a Close with 999", "880203e7", "!1002"},
      {"a Close with 2999", "88020bb7", "!1002"},
      {"a Close with 5000", "88021388", "!1002"},
      {"a Close with a reason that is not UTF-8", "880403e8c328", "!1007"},
  };
  for (const Violation& violation : violations) {
    EXPECT_EQ(told_of_server(*from_hex(violation.hex)), Told{std::string(violation.code)})
        << violation.what;
  }
  WebSocketParser unmasked(WebSocketPeer::kClient);
  EXPECT_EQ(told(unmasked, *from_hex("810548656c6c6f")), Told{"!1002"});
}

TEST(WebSocket, RefusesAMessageInsideOfAnotherAndWhatFollowsAClose) {
  EXPECT_EQ(told_of_server(frame(WebSocketOpcode::kText, "a", false)
                           + frame(WebSocketOpcode::kText, "b")),
            (Told{"text-:a", "!1002"}));
  WebSocketParser parser(WebSocketPeer::kServer);
  EXPECT_EQ(told(parser, frame(WebSocketOpcode::kClose, "") + frame(WebSocketOpcode::kText, "b")),
            (Told{"close 1005:", "!1002"}));
  EXPECT_EQ(parser.feed("x").error(), Error::kInvalid) << "and then for ever";
}

TEST(WebSocket, TakesTheCodesThatMayBeSent) {
  for (const int code : {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 3000, 4999}) {
    std::string close;
    append_websocket_close(close, static_cast<std::uint16_t>(code), "", std::nullopt);
    EXPECT_EQ(told_of_server(close), Told{"close " + std::to_string(code) + ":"});
  }
}

TEST(WebSocket, CutsAReasonBetweenCharacters) {
  std::string close;
  append_websocket_close(close, 1008, std::string(122, 'x') + "\xc3\xa4", std::nullopt);
  EXPECT_EQ(told_of_server(close), Told{"close 1008:" + std::string(122, 'x')});
}

TEST(WebSocket, HoldsItsLimits) {
  WebSocketParser sized(WebSocketPeer::kServer, {.message_most = 10, .fragments_most = 100});
  EXPECT_EQ(told(sized, frame(WebSocketOpcode::kText, "12345", false)
                            + frame(WebSocketOpcode::kContinuation, "67890")
                            + frame(WebSocketOpcode::kText, "12345", false)
                            + frame(WebSocketOpcode::kContinuation, "678901")),
            (Told{"text-:12345", "-text:67890", "text-:12345", "!1009"}));
  EXPECT_EQ(sized.feed("").error(), Error::kTooLarge);
  // Fragments that say nothing count, though nothing is told of them.
  WebSocketParser counted(WebSocketPeer::kServer, {.message_most = 10, .fragments_most = 3});
  std::string flood = frame(WebSocketOpcode::kText, "", false);
  for (int i = 0; i < 3; ++i) flood += frame(WebSocketOpcode::kContinuation, "", false);
  EXPECT_EQ(told(counted, flood), Told{"!1008"});
  EXPECT_EQ(counted.feed("").error(), Error::kTooMany);
}

RequestHead asks(std::string_view more, std::string_view start = "GET /chat HTTP/1.1") {
  std::string text(start);
  text.append("\r\nHost: server.example\r\n").append(more).append("\r\n");
  RequestParser parser;
  const auto progress = parser.feed(text);
  EXPECT_TRUE(progress && progress->done) << text;
  return parser.take();
}

const std::string kWish =
    "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

TEST(WebSocketHandshake, ReadsAnOffer) {
  const auto offer = websocket_offer(
      asks(kWish + "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Protocol: v2\r\n"));
  ASSERT_TRUE(offer) << offer.error().message();
  ASSERT_TRUE(*offer);
  EXPECT_EQ((*offer)->key, kKey);
  EXPECT_EQ((*offer)->protocols, (std::vector<std::string>{"chat", "superchat", "v2"}));
}

TEST(WebSocketHandshake, LeavesOtherWishesAlone) {
  EXPECT_FALSE(*websocket_offer(asks("")));
  EXPECT_FALSE(*websocket_offer(asks("Upgrade: h2c\r\nConnection: Upgrade\r\n")));
  EXPECT_FALSE(*websocket_offer(asks("Upgrade: websocket\r\n")));
  EXPECT_FALSE(*websocket_offer(asks(kWish, "POST /chat HTTP/1.1")));
  EXPECT_FALSE(*websocket_offer(asks(kWish, "GET /chat HTTP/1.0")));
}

TEST(WebSocketHandshake, RefusesAMalformedOne) {
  const std::string start = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
  const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const std::string version = "Sec-WebSocket-Version: 13\r\n";
  for (const std::string& fields :
       {start + key, start + version, start + key + key + version, start + key + version + version,
        start + version + "Sec-WebSocket-Key: c2hvcnQ=\r\n",
        start + version + "Sec-WebSocket-Key: ????\r\n", kWish + "Sec-WebSocket-Protocol: a,,b\r\n",
        kWish + "Sec-WebSocket-Protocol: a, a\r\n", kWish + "Sec-WebSocket-Protocol: a b\r\n",
        kWish + "Content-Length: 5\r\n"}) {
    const auto offer = websocket_offer(asks(fields));
    ASSERT_FALSE(offer) << fields;
    EXPECT_EQ(offer.error(), Error::kInvalid) << fields;
  }
  EXPECT_EQ(websocket_offer(asks(start + key + "Sec-WebSocket-Version: 8\r\n")).error(),
            Error::kUnsupported);
  std::string many = "Sec-WebSocket-Protocol: p0";
  for (int i = 1; i <= 32; ++i) many += ", p" + std::to_string(i);
  EXPECT_EQ(websocket_offer(asks(kWish + many + "\r\n")).error(), Error::kTooMany);
}

Result<void> answered(const std::string& fields) {
  ResponseParser parser;
  const auto progress = parser.feed("HTTP/1.1 101 Switching Protocols\r\n" + fields + "\r\n");
  EXPECT_TRUE(progress && progress->done) << fields;
  return check_websocket_answer({std::string(kKey), {"chat", "superchat"}}, parser.take());
}

TEST(WebSocketHandshake, TakesTheAnswerOfTheRfc) {
  EXPECT_EQ(websocket_accept(kKey), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  const std::string answer =
      "Upgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
  EXPECT_TRUE(answered(answer));
  EXPECT_TRUE(answered(answer + "Sec-WebSocket-Protocol: superchat\r\n"));
}

TEST(WebSocketHandshake, RefusesAnAnswerThatIsNotToTheOffer) {
  const std::string upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
  const std::string accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
  for (const std::string& fields :
       {upgrade, accept, upgrade + accept + accept,
        upgrade + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade\r\n" + accept, "Upgrade: websocket\r\n" + accept,
        upgrade + accept + "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        upgrade + accept + "Sec-WebSocket-Protocol: other\r\n",
        upgrade + accept + "Sec-WebSocket-Protocol: chat, superchat\r\n",
        upgrade + accept + "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n"}) {
    const auto checked = answered(fields);
    ASSERT_FALSE(checked) << fields;
    EXPECT_EQ(checked.error(), Error::kUpstream) << fields;
  }
}

}  // namespace
}  // namespace gatehouse::wire
