// SPDX-License-Identifier: Apache-2.0
// The server's side of one HTTP/2 connection, bytes <-> events (RFC 9113), sans I/O, on nghttp2.
// Bounded: streams at once, fields of a head, what is buffered (by flow control: a stream's window
// opens again only as its body is taken), streams that the client resets (CVE-2023-44487),
// CONTINUATION frames of a head (CVE-2024-28182), and above a rate frames that bring nothing on:
// PING, SETTINGS, PRIORITY, RST_STREAM, unknown ones, and DATA that is empty.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "wire/http1.h"

namespace gatehouse::wire {

inline constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
inline constexpr std::uint32_t kHttp2StreamsMost = 100;         // open at once
inline constexpr std::uint32_t kHttp2StreamWindow = 64 * 1024;  // of a body that is not taken
inline constexpr std::int32_t kHttp2Window = 1024 * 1024;       // of all bodies together
inline constexpr std::uint32_t kHttp2NoiseMost = 1000;          // frames that bring nothing on
inline constexpr std::uint32_t kHttp2NoisePerSecond = 50;

// Of RFC 9113 section 7.
enum class Http2Code : std::uint32_t {
  kNone = 0,
  kProtocol = 1,
  kInternal = 2,
  kRefused = 7,
  kCancel = 8,
  kConnect = 10
};

// Whether a head of HTTP/2 asks for a WebSocket: no other one there has an Upgrade.
[[nodiscard]] bool asks_for_websocket(const RequestHead& head);

class Http2Handler {
 public:
  virtual ~Http2Handler() = default;
  // A request's head, read and judged as HTTP/1.1's is; its error where it is malformed: an answer
  // may be given all the same. An extended CONNECT for a WebSocket (RFC 8441) is told as the GET of
  // HTTP/1.1 that asks for the same, but for the key; its body is what the client says in it.
  virtual void on_request(std::int32_t stream, Result<RequestHead> head) = 0;
  virtual void on_body(std::int32_t stream, std::string_view payload) = 0;
  virtual void on_end(std::int32_t stream, Headers trailers) = 0;
  // The stream is over, by either side; `code` says how.
  virtual void on_close(std::int32_t stream, std::uint32_t code) = 0;

  struct Pulled {
    enum class What : std::uint8_t { kBytes, kNothingYet, kEnd, kGone };
    What what = What::kBytes;
    std::size_t count = 0;
  };
  // Puts of an answer's body as much as there is and has room. kEnd: it is whole, with the bytes
  // that are put now; `trailers` are its trailers then.
  virtual Pulled on_pull(std::int32_t stream, char* into, std::size_t room, Headers& trailers) = 0;
};

class Http2Server {
 public:
  // Nothing of the handler is called before the first `feed`. `takes_websockets` announces extended
  // CONNECT (RFC 8441); without it a stream that asks for one is malformed.
  explicit Http2Server(Http2Handler& handler, bool takes_websockets = true);
  ~Http2Server();
  Http2Server(const Http2Server&) = delete;
  Http2Server& operator=(const Http2Server&) = delete;

  // What came from the client. Errors: kInvalid, kTooMany; the connection ends then, when what
  // `next_output` still has is sent.
  [[nodiscard]] Result<void> feed(std::string_view bytes, Instant now);
  // What goes to the client next, a view until the next call; "" when there is nothing now.
  [[nodiscard]] std::string_view next_output();
  // Whether both sides are done with the connection.
  [[nodiscard]] bool is_over() const;

  // An interim answer: 100.
  void interim(std::int32_t stream, int status);
  // An answer's head; a body is pulled. Errors: kInvalid.
  [[nodiscard]] Result<void> answer(std::int32_t stream, const ResponseHead& head, bool has_body);
  // There is something to pull again.
  void resume(std::int32_t stream);
  // Bytes of a body that were given to `on_body` are taken.
  void taken(std::int32_t stream, std::size_t count);
  void reset(std::int32_t stream, Http2Code code);
  // No more requests are taken; those under way go on.
  void drain();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gatehouse::wire
