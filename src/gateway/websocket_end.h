// SPDX-License-Identifier: Apache-2.0
// One end of a WebSocket that is relayed: what its peer says, and what is said to it. Of the
// gateway's thread. Frames to it go out whole and in the order in which they were put, whoever
// puts them; what waits is bounded by those who put, who flush.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gateway/client.h"
#include "net/loop.h"
#include "wire/websocket.h"

namespace gatehouse::gateway {

class WebSocketEnd {
 public:
  // The agent is a client, and the upstream a server. The connection outlives this.
  enum class Who : std::uint8_t { kAgent, kUpstream };
  WebSocketEnd(net::Loop& loop, Who who, RawConnection connection, wire::WebSocketLimits limits);
  WebSocketEnd(const WebSocketEnd&) = delete;
  WebSocketEnd& operator=(const WebSocketEnd&) = delete;

  [[nodiscard]] bool is_agent() const { return who_ == Who::kAgent; }

  // What has come: its view lives until the next call. Nothing: `more` has to be awaited. Errors:
  // those of wire::WebSocketParser::feed.
  [[nodiscard]] Result<std::optional<wire::WebSocketEvent>> event();
  // Waits until there is more; false when the peer has ended its side. Errors: kClosed.
  [[nodiscard]] net::Task<Result<bool>> more();
  // After an error of `event`: what the peer is to be told.
  [[nodiscard]] std::uint16_t close_code() const { return parser_.close_code(); }

  // Since when the peer has let us wait; nothing while it is we who do not listen.
  [[nodiscard]] std::optional<Instant> silent_since() const {
    return is_listening_ ? std::optional(heard_) : std::nullopt;
  }
  // Asks the peer for a sign of life, once until it gives one.
  void ping();
  // Whether that pong answers it: nobody else has asked for it.
  [[nodiscard]] bool is_own_pong(std::string_view payload) const { return payload == own_ping_; }

  // Puts a frame behind what waits. Nothing is put behind a Close.
  void put(wire::WebSocketOpcode opcode, bool is_final, std::string_view payload);
  void put_close(std::uint16_t code, std::string_view reason);
  [[nodiscard]] bool is_closed() const { return is_closed_; }
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  // Sends all that waits. Errors: kTimeout, kClosed; then nothing more can be sent.
  [[nodiscard]] net::Task<Result<void>> flush(Deadline deadline);
  // Says a Close in the place of what waits, without waiting; whether all of it went.
  bool close_now(std::uint16_t code, std::string_view reason);
  // Waits for the peer's Close, if it has not come, since some leave ours unread where the end of
  // the connection comes with it; then ends our side, and takes what still comes, so that a Close
  // is not lost by a reset (as RFC 9112 section 9.6 has it). Each takes `most` at most.
  [[nodiscard]] net::Task<void> finish(Nanos most);

 private:
  [[nodiscard]] net::Task<void> hear_close(Deadline deadline);
  [[nodiscard]] std::optional<wire::WebSocketMask> mask() const;

  net::Loop& loop_;
  Who who_;
  RawConnection connection_;
  wire::WebSocketParser parser_;
  std::string own_ping_;
  bool is_pinged_ = false;
  bool is_listening_ = false;
  Instant heard_;
  std::string waiting_;
  bool is_sending_ = false;  // and for ever, where it was cut in the middle
  net::Event sent_;
  bool is_closed_ = false;
  bool has_heard_close_ = false;
};

}  // namespace gatehouse::gateway
