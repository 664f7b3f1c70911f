// SPDX-License-Identifier: Apache-2.0
// Frames mean the same however they are split, to a client's and to a server's reader; what is told
// of them can be written again and is read as the same; a handshake's fields crash nothing.
#include "base/check.h"
#include "base/encoding.h"
#include "wire/websocket.h"

namespace {

using namespace gatehouse;
using wire::WebSocketOpcode;

constexpr wire::WebSocketLimits kLimits = {.message_most = 70'000, .fragments_most = 8};

// What was told, and the same as frames without masks.
struct Told {
  std::string events;
  std::string frames;
  bool failed = false;
};

Told read(wire::WebSocketPeer peer, std::string_view input, std::size_t piece,
          wire::WebSocketLimits limits = kLimits) {
  wire::WebSocketParser parser(peer, limits);
  Told told;
  for (std::size_t at = 0; at < input.size(); at += piece) {
    std::string_view rest = input.substr(at, piece);
    while (!rest.empty()) {
      const auto progress = parser.feed(rest);
      if (!progress) {
        told.failed = true;
        told.events += "!" + std::to_string(parser.close_code());
        return told;
      }
      rest.remove_prefix(progress->consumed);
      if (!progress->event) break;
      const wire::WebSocketEvent& event = *progress->event;
      CHECK(event.payload.size() <= wire::kMaxWebSocketPiece);
      CHECK(event.opcode != WebSocketOpcode::kText || is_utf8(event.payload));
      told.events += std::to_string(static_cast<int>(event.opcode)) + (event.begins ? "<" : "-")
                     + std::to_string(event.code) + ":" + std::string(event.payload)
                     + (event.ends ? ">" : "-");
      if (event.opcode == WebSocketOpcode::kClose) {
        wire::append_websocket_close(told.frames, event.code, event.payload, std::nullopt);
      } else {
        wire::append_websocket_frame(told.frames,
                                     event.begins ? event.opcode : WebSocketOpcode::kContinuation,
                                     event.ends, event.payload, std::nullopt);
      }
    }
  }
  return told;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = text_of({data, size});
  for (const auto peer : {wire::WebSocketPeer::kClient, wire::WebSocketPeer::kServer}) {
    const Told whole = read(peer, text, size + 1);
    CHECK(whole.events == read(peer, text, 1).events);
    CHECK(whole.events == read(peer, text, 7).events);
    if (!whole.failed) {
      CHECK(read(wire::WebSocketPeer::kServer, whole.frames, 3, {}).events == whole.events);
    }
  }
  std::string frame;
  const wire::WebSocketMask mask = {1, 2, 3, 4};
  wire::append_websocket_frame(frame, WebSocketOpcode::kBinary, true, text.substr(0, 1000), mask);
  CHECK(read(wire::WebSocketPeer::kClient, frame, 5).events
        == "2<0:" + std::string(text.substr(0, 1000)) + ">");
  wire::RequestParser request;
  if (const auto progress = request.feed(text); progress && progress->done) {
    (void)wire::websocket_offer(request.take());
  }
  wire::ResponseParser response;
  if (const auto progress = response.feed(text); progress && progress->done) {
    (void)wire::check_websocket_answer({"dGhlIHNhbXBsZSBub25jZQ==", {"chat"}}, response.take());
  }
  return 0;
}
