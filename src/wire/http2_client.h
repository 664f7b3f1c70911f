// SPDX-License-Identifier: Apache-2.0
// The client's side of one HTTP/2 connection, bytes <-> events (RFC 9113), sans I/O, on nghttp2.
// Bounded against a hostile server: fields of a head, what is buffered (by flow control: a stream's
// window opens again only as its body is taken), CONTINUATION frames of a head, and above a rate
// frames that bring nothing on, interim answers among them. Nothing is pushed.
//
// The connection is shared by requests that have nothing to do with each other: no field of one is
// kept to compress another's (RFC 7541 section 7.1), and the session's memory is wiped as it is
// given back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "wire/http1.h"
#include "wire/http2.h"

namespace gatehouse::wire {

inline constexpr std::uint32_t kHttp2AnswerWindow = 256 * 1024;   // of a body that is not taken
inline constexpr std::int32_t kHttp2AnswersWindow = 1024 * 1024;  // of what is on the way

// A field that no one on the way may keep (RFC 7541 section 6.2.3). Views.
struct Http2Secret {
  std::string_view name;  // lower-case; empty: there is none
  std::string_view value;
};

// How a stream ended.
struct Http2Ending {
  std::uint32_t code = 0;  // of RFC 9113 section 7
  // The server has not begun with the request and never will: REFUSED_STREAM, above the last stream
  // of a GOAWAY, or not sent at all (RFC 9113 section 8.7). It is safe to send it again.
  bool was_not_processed = false;
  std::string why;  // for people
};

class Http2ClientHandler {
 public:
  using Pulled = Http2Handler::Pulled;
  virtual ~Http2ClientHandler() = default;
  // An answer's head, read and judged as HTTP/1.1's is, and whether nothing comes behind it;
  // interim ones are heads of their own. After its error the stream is reset.
  virtual void on_answer(std::int32_t stream, Result<ResponseHead> head, bool ended) = 0;
  virtual void on_body(std::int32_t stream, std::string_view payload) = 0;
  virtual void on_end(std::int32_t stream, Headers trailers) = 0;
  // The stream is over, by either side.
  virtual void on_close(std::int32_t stream, Http2Ending ending) = 0;
  // As of a server's handler, for a request's body.
  virtual Pulled on_pull(std::int32_t stream, char* into, std::size_t room, Headers& trailers) = 0;
};

class Http2Client {
 public:
  // Nothing of the handler is called before the first `request`.
  explicit Http2Client(Http2ClientHandler& handler);
  ~Http2Client();
  Http2Client(const Http2Client&) = delete;
  Http2Client& operator=(const Http2Client&) = delete;

  // What came from the server. Errors: kInvalid, kTooMany; the connection ends then, when what
  // `next_output` still has is sent.
  [[nodiscard]] Result<void> feed(std::string_view bytes, Instant now);
  // What goes to the server next, to be put behind `out`; false when there is nothing now. What was
  // put may hold a secret where it says so.
  struct Output {
    bool is_any = false;
    bool may_be_secret = false;
  };
  Output append_output(std::string& out);
  // Whether both sides are done with the connection.
  [[nodiscard]] bool is_over() const;

  // How many streams the server lets be open at once, as far as it has said so.
  [[nodiscard]] std::uint32_t streams_most() const;
  // Whether another request may be made: the server has not said that it goes, and there are
  // numbers left.
  [[nodiscard]] bool takes_requests() const;

  // A request of `scheme` ("https"), in origin form; its fields hold none of the connection's.
  // Gives its stream. A body is pulled where the framing says that there is one. Errors: kInvalid
  // (what would break a head), kClosed (no more requests are taken).
  [[nodiscard]] Result<std::int32_t> request(const RequestHead& head, std::string_view scheme,
                                             Http2Secret secret);
  // Whether a byte of that stream's request may have gone out.
  [[nodiscard]] bool was_sent(std::int32_t stream) const;
  // There is something to pull again.
  void resume(std::int32_t stream);
  // Bytes of a body that were given to `on_body` are taken.
  void taken(std::int32_t stream, std::size_t count);
  void reset(std::int32_t stream, Http2Code code);
  // Asks for a sign of life.
  void ping();
  // No more requests are made; those under way go on.
  void drain();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gatehouse::wire
