// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 messages, bytes <-> values (RFC 9112), sans I/O. Strict: what two parsers could read in
// two ways is refused, never repaired, and the connection must be closed. Any chunking of the input
// gives the same result. After an error a parser gives only that error.
//
// Refused: bare LF or CR, folded lines, control characters, space before a colon, empty lines
// before a request, versions but 1.0 and 1.1, a missing, repeated or malformed Host, Content-Length
// with Transfer-Encoding, a repeated or not plainly decimal Content-Length, any Transfer-Encoding
// but one `chunked`, userinfo, an absolute target that disagrees with Host.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/headers.h"
#include "wire/url.h"

namespace gatehouse::wire {

inline constexpr std::size_t kMaxHeadBytes = 64 * 1024;
inline constexpr std::size_t kMaxStartLine = 16 * 1024;
inline constexpr std::size_t kMaxHeaders = 100;
inline constexpr std::size_t kMaxTrailerBytes = 16 * 1024;
inline constexpr std::size_t kMaxMethod = 32;
inline constexpr std::size_t kMaxChunkExtension = 256;        // of one chunk
inline constexpr std::size_t kMaxChunkExtensions = 8 * 1024;  // of one body

// Why a message was refused, for a counter.
enum class Http1Fault : std::uint8_t {
  kNone,
  kHeadTooLarge,
  kStartLineTooLong,
  kTooManyHeaders,
  kLineEnd,
  kFoldedLine,
  kHeaderName,
  kHeaderValue,
  kStartLine,
  kMethod,
  kVersion,
  kTarget,
  kHost,
  kHostMismatch,
  kContentLength,
  kTransferEncoding,
  kFramingConflict,
  kStatus,
  kChunkSize,
  kChunkExtension,
  kChunkEnd,
  kTrailer,
  kCutShort,
};
[[nodiscard]] std::string_view label(Http1Fault fault);

enum class HttpVersion : std::uint8_t { k10, k11 };

// RFC 9112 section 6.3.
struct BodyFraming {
  enum class Kind : std::uint8_t { kNone, kLength, kChunked, kUntilClose };
  Kind kind = Kind::kNone;
  std::uint64_t length = 0;  // of kLength; never 0 there
  friend bool operator==(const BodyFraming&, const BodyFraming&) = default;
};

// RFC 9112 section 3.2: origin (`/path`), absolute (`http://host/path`), authority (CONNECT only),
// asterisk (OPTIONS only).
enum class TargetForm : std::uint8_t { kOrigin, kAbsolute, kAuthority, kAsterisk };

struct RequestHead {
  std::string method;
  std::string target;  // as on the request line
  TargetForm form = TargetForm::kOrigin;
  std::optional<Scheme> scheme;        // of the absolute form
  std::optional<Authority> authority;  // of the target, else of Host; absent only in 1.0
  HttpVersion version = HttpVersion::k11;
  BodyFraming framing;
  Headers headers;

  // The target's path with its query: "/" at least; "*" of the asterisk form, empty for CONNECT.
  [[nodiscard]] std::string_view path_and_query() const;
};

struct ResponseHead {
  int status = 200;  // 100 to 999
  std::string reason;
  HttpVersion version = HttpVersion::k11;
  Headers headers;
};

// Whether the connection ends after this message (RFC 9112 section 9.3).
[[nodiscard]] bool ends_connection(HttpVersion version, const Headers& headers);

// Errors: kInvalid when a 1xx or 204 carries a body's framing.
[[nodiscard]] Result<BodyFraming> response_framing(const ResponseHead& head,
                                                   std::string_view request_method);

struct HeadProgress {
  std::size_t consumed = 0;
  bool done = false;
};

// Splits lines into the arena of its Headers and indexes them. Used by the parsers below only.
class FieldLines {
 public:
  explicit FieldLines(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // Takes bytes from `input` up to and with the next LF; true when line() is a whole line.
  [[nodiscard]] bool take(std::string_view& input);
  // The line that take() completed, without its end. kLineEnd when it does not end in CR LF.
  [[nodiscard]] Http1Fault line(std::string_view& out) const;
  [[nodiscard]] Http1Fault index(std::string_view line);
  void next_line() { line_at_ = headers.arena_.size(); }
  [[nodiscard]] bool too_large() const { return headers.arena_.size() > max_bytes_; }
  [[nodiscard]] std::size_t line_size() const { return headers.arena_.size() - line_at_; }

  Headers headers;

 private:
  std::size_t max_bytes_;
  std::size_t line_at_ = 0;
};

class HeadParser {
 public:
  [[nodiscard]] bool done() const { return state_ == State::kDone; }
  [[nodiscard]] Http1Fault fault() const { return fault_; }
  // Whether no byte of a message has come yet: a close here is an orderly one.
  [[nodiscard]] bool untouched() const {
    return state_ == State::kStart && lines_.line_size() == 0;
  }

 protected:
  enum class State : std::uint8_t { kStart, kFields, kDone, kFailed };
  template <class StartLine, class Finish>
  Result<HeadProgress> feed_lines(std::string_view input, StartLine start_line, Finish finish);
  Failure fail(Http1Fault fault, std::string_view detail = {});
  Failure failed() const;

  FieldLines lines_{kMaxHeadBytes};
  State state_ = State::kStart;
  Http1Fault fault_ = Http1Fault::kNone;
  std::string detail_;
};

// Server side. One parser reads one head; assign a fresh one for the next.
class RequestParser : public HeadParser {
 public:
  // `consumed` bytes belong to the head; what follows is body. Errors: kInvalid, kTooLarge,
  // kTooMany.
  [[nodiscard]] Result<HeadProgress> feed(std::string_view input);
  // Once done().
  [[nodiscard]] RequestHead take();

 private:
  Result<void> start_line(std::string_view line);
  Result<void> target();
  Result<void> finish();
  RequestHead head_;
};

// Client side. Interim (1xx) responses are heads of their own.
class ResponseParser : public HeadParser {
 public:
  [[nodiscard]] Result<HeadProgress> feed(std::string_view input);
  [[nodiscard]] ResponseHead take();

 private:
  Result<void> start_line(std::string_view line);
  Result<void> finish();
  ResponseHead head_;
};

// Whether a field of that name may stand behind a body: none that frames, routes or authorizes (RFC
// 9110 section 6.5.1).
[[nodiscard]] bool may_be_trailer(std::string_view name);

// A part of a body, and how much of the input it took.
struct BodyPiece {
  std::string_view payload;  // a view of the input, without the chunked coding; may be empty
  std::size_t consumed = 0;
  bool done = false;
};

class BodyReader {
 public:
  explicit BodyReader(BodyFraming framing);

  // At most one piece of payload a call: call again with the rest until `done` or all is consumed.
  // Never takes a byte behind the body's end. Errors: kInvalid, kTooLarge, kTooMany (trailers).
  [[nodiscard]] Result<BodyPiece> feed(std::string_view input);
  // The peer has closed its side. Errors: kUpstream when the body is not whole.
  [[nodiscard]] Result<void> finish();
  // How many bytes come next that are payload and nothing else. Who takes them elsewhere than by
  // `feed`, or some of them, says so by `took`.
  [[nodiscard]] std::uint64_t plain() const {
    return state_ == State::kData || state_ == State::kChunkData ? left_ : 0;
  }
  // At most `plain` bytes.
  void took(std::uint64_t bytes);
  [[nodiscard]] bool done() const { return state_ == State::kDone; }
  [[nodiscard]] Http1Fault fault() const { return fault_; }
  // Of a chunked body, once done(); never a field that frames, routes or authorizes (RFC
  // 9110 6.5.1).
  [[nodiscard]] const Headers& trailers() const { return trailers_.headers; }

 private:
  enum class State : std::uint8_t {
    kData,
    kUntilClose,
    kSize,
    kExtension,
    kSizeLf,
    kChunkData,
    kDataCr,
    kDataLf,
    kTrailers,
    kDone,
    kFailed,
  };
  Result<void> step(char c);
  Result<void> trailer_line();
  Failure fail(Http1Fault fault);
  Failure failed() const;

  State state_;
  Http1Fault fault_ = Http1Fault::kNone;
  std::uint64_t left_ = 0;
  unsigned digits_ = 0;
  std::size_t extension_size_ = 0;
  std::size_t extensions_size_ = 0;
  FieldLines trailers_{kMaxTrailerBytes};
};

// Append to `out`; on an error `out` is as before. Errors: kInvalid when a method, target, reason
// or value would break the message (CR, LF, NUL and other controls). Framing fields are the
// caller's.
[[nodiscard]] Result<void> append_request_head(std::string& out, const RequestHead& head);
[[nodiscard]] Result<void> append_response_head(std::string& out, const ResponseHead& head);

// A chunk is its header, `size` bytes (not 0), and kChunkEnd.
void append_chunk_header(std::string& out, std::size_t size);
inline constexpr std::string_view kChunkEnd = "\r\n";
// The last chunk and the trailers.
[[nodiscard]] Result<void> append_last_chunk(std::string& out, const Headers& trailers = {});

// The reason phrase of RFC 9110 section 15; empty for others.
[[nodiscard]] std::string_view reason_phrase(int status);

}  // namespace gatehouse::wire
