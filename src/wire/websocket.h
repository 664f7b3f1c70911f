// SPDX-License-Identifier: Apache-2.0
// WebSocket (RFC 6455), sans I/O: the opening handshake, frames <-> events. Strict: what the RFC
// says must not be sent is refused, and the event of a refusal is a close code. No extension is
// spoken, so that every payload can be read.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "wire/http1.h"

namespace gatehouse::wire {

// --- the opening handshake (section 4)

inline constexpr std::size_t kMaxSubprotocols = 32;
// What stands for its GET where a method is ruled on: a socket does more than a GET may.
inline constexpr std::string_view kWebSocketMethod = "WEBSOCKET";

struct WebSocketOffer {
  std::string key;
  std::vector<std::string> protocols;  // in the client's order
};

// What a request offers that asks for a WebSocket; nothing when it asks for none: then an Upgrade
// in it is any other's. Errors: kInvalid when the handshake is malformed, kUnsupported for a
// version but 13, kTooMany above 32 subprotocols.
[[nodiscard]] Result<std::optional<WebSocketOffer>> websocket_offer(const RequestHead& head);

// Whether the head has one key (Sec-WebSocket-Key), of 16 bytes in base64.
[[nodiscard]] bool has_websocket_key(const Headers& headers);

// What Sec-WebSocket-Accept answers to that key.
[[nodiscard]] std::string websocket_accept(std::string_view key);

// Whether a 101 accepts the offer, with no extension and no subprotocol but one of those offered.
// Errors: kUpstream.
[[nodiscard]] Result<void> check_websocket_answer(const WebSocketOffer& offer,
                                                  const ResponseHead& head);

// Of what concerns one connection only, the fields by which an upgrade to it is asked for and
// answered, and no others.
void set_websocket_upgrade(Headers& headers);

// --- frames (section 5)

enum class WebSocketOpcode : std::uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10,
};

// Section 7.4.1.
struct WebSocketCode {
  static constexpr std::uint16_t kNormal = 1000;
  static constexpr std::uint16_t kGoingAway = 1001;
  static constexpr std::uint16_t kProtocolError = 1002;
  static constexpr std::uint16_t kUnsupportedData = 1003;
  static constexpr std::uint16_t kNone = 1005;  // a Close without a code; never sent
  static constexpr std::uint16_t kInvalidData = 1007;
  static constexpr std::uint16_t kPolicy = 1008;
  static constexpr std::uint16_t kTooBig = 1009;
  static constexpr std::uint16_t kInternalError = 1011;
};

inline constexpr std::size_t kMaxWebSocketControl = 125;  // of a control frame's payload
inline constexpr std::size_t kMaxWebSocketReason = kMaxWebSocketControl - 2;
inline constexpr std::size_t kMaxWebSocketPiece = 64 * 1024;

struct WebSocketLimits {
  std::uint64_t message_most = 64 * 1024 * 1024;
  std::size_t fragments_most = 65'536;  // of one message
};

// A control frame, or a part of a message: what came of one frame, at most kMaxWebSocketPiece. The
// parts of a text are whole characters each.
struct WebSocketEvent {
  WebSocketOpcode opcode = WebSocketOpcode::kText;  // of a part, that of its message
  bool begins = true;                               // the first part
  bool ends = true;                                 // the last part
  // Unmasked; of a Close, its reason. Valid until the next feed().
  std::string_view payload;
  std::uint16_t code = 0;  // of a Close
};

struct WebSocketProgress {
  std::size_t consumed = 0;
  std::optional<WebSocketEvent> event;
};

// Whose frames are read: a client's are masked, a server's are not.
enum class WebSocketPeer : std::uint8_t { kClient, kServer };

class WebSocketParser {
 public:
  explicit WebSocketParser(WebSocketPeer peer, WebSocketLimits limits = {})
      : peer_(peer), limits_(limits) {}

  // Stops after one event: call again with the rest. Any chunking gives the same events. Errors,
  // and then for ever: kInvalid for what breaks the protocol, kTooLarge and kTooMany at the limits.
  [[nodiscard]] Result<WebSocketProgress> feed(std::string_view input);
  // After an error: what the peer is to be told.
  [[nodiscard]] std::uint16_t close_code() const { return close_code_; }
  // Whether a message has begun and has not ended.
  [[nodiscard]] bool is_mid_message() const { return message_ != WebSocketOpcode::kContinuation; }

 private:
  using Event = std::optional<WebSocketEvent>;
  [[nodiscard]] std::size_t header_size() const;
  Result<void> check_start();
  Result<void> begin_frame();
  Result<void> begin_data_frame(WebSocketOpcode opcode);
  [[nodiscard]] std::size_t take_payload(std::string_view input);
  Result<Event> end_frame();
  Result<Event> control_event();
  Result<Event> part(bool ends);
  Failure fail(std::uint16_t close_code, Error::Code code, std::string_view what);

  WebSocketPeer peer_;
  WebSocketLimits limits_;
  std::string header_;  // of the frame, as far as it has come
  bool in_payload_ = false;
  bool is_final_ = false;
  WebSocketOpcode opcode_ = WebSocketOpcode::kContinuation;  // of the frame
  std::array<std::uint8_t, 4> mask_{};
  std::uint64_t taken_ = 0;  // of the frame's payload
  std::uint64_t left_ = 0;
  WebSocketOpcode message_ = WebSocketOpcode::kContinuation;  // none is under way
  std::uint64_t message_size_ = 0;
  std::size_t fragments_ = 0;
  bool has_begun_ = false;  // a part of the message was told
  std::string piece_;       // of the message, not told yet
  std::size_t shown_ = 0;   // of it, by the last event
  std::string control_;
  bool is_closed_ = false;
  std::uint16_t close_code_ = 0;
  Error failure_{Error::kInternal, ""};
};

using WebSocketMask = std::array<std::uint8_t, 4>;

// What waits in `out`, one frame more. A client's frames have a mask, which nobody can foretell.
void append_websocket_frame(std::string& out, WebSocketOpcode opcode, bool is_final,
                            std::string_view payload, const std::optional<WebSocketMask>& mask);
// A Close; kNone sends none of both, and a reason is cut where it would be too long.
void append_websocket_close(std::string& out, std::uint16_t code, std::string_view reason,
                            const std::optional<WebSocketMask>& mask);

// How many bytes at the end of `text` are the beginning of a character that is not whole.
[[nodiscard]] std::size_t unfinished_utf8(std::string_view text);

}  // namespace gatehouse::wire
