// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/check.h"
#include "wire/http1.h"

namespace gatehouse::wire {
namespace {

constexpr unsigned kMaxSizeDigits = 15;  // 2^60 bytes: no overflow to think of

// RFC 9110 section 6.5.1: what frames, routes, modifies or authorizes has no place in a trailer.
constexpr std::string_view kForbiddenTrailers[] = {
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "host",
    "keep-alive",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "warning",
    "www-authenticate",
};

}  // namespace

BodyReader::BodyReader(BodyFraming framing) : left_(framing.length) {
  switch (framing.kind) {
    case BodyFraming::Kind::kNone:
      state_ = State::kDone;
      break;
    case BodyFraming::Kind::kLength:
      state_ = left_ > 0 ? State::kData : State::kDone;
      break;
    case BodyFraming::Kind::kChunked:
      state_ = State::kSize;
      break;
    case BodyFraming::Kind::kUntilClose:
      state_ = State::kUntilClose;
      break;
  }
  if (framing.kind == BodyFraming::Kind::kChunked) left_ = 0;
}

Result<BodyPiece> BodyReader::feed(std::string_view input) {
  if (state_ == State::kFailed) return failed();
  std::size_t at = 0;
  while (at < input.size() && state_ != State::kDone) {
    if (state_ == State::kUntilClose) return BodyPiece{input, input.size(), false};
    if (state_ == State::kData || state_ == State::kChunkData) {
      const std::size_t size =
          static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size() - at));
      took(size);
      return BodyPiece{input.substr(at, size), at + size, done()};
    }
    if (state_ == State::kTrailers) {
      std::string_view rest = input.substr(at);
      const bool whole = trailers_.take(rest);
      at = input.size() - rest.size();
      if (trailers_.too_large()) return fail(Http1Fault::kHeadTooLarge);
      if (whole) TRY(trailer_line());
      continue;
    }
    TRY(step(input[at]));
    ++at;
  }
  return BodyPiece{{}, at, done()};
}

void BodyReader::took(std::uint64_t bytes) {
  CHECK(bytes <= plain());
  left_ -= bytes;
  if (left_ == 0) state_ = state_ == State::kData ? State::kDone : State::kDataCr;
}

// chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF (RFC 9112 section 7.1).
Result<void> BodyReader::step(char c) {
  switch (state_) {
    case State::kSize:
      if (is(kHexChar, c)) {
        if (++digits_ > kMaxSizeDigits) return fail(Http1Fault::kChunkSize);
        left_ = left_ << 4 | hex_value(c);
        return {};
      }
      if (digits_ == 0 || (c != ';' && c != '\r')) return fail(Http1Fault::kChunkSize);
      extension_size_ = 0;
      state_ = c == ';' ? State::kExtension : State::kSizeLf;
      return {};
    case State::kExtension:
      if (c == '\r') {
        state_ = State::kSizeLf;
        return {};
      }
      if (!is(kVisibleChar, c) || ++extension_size_ > kMaxChunkExtension
          || ++extensions_size_ > kMaxChunkExtensions) {
        return fail(Http1Fault::kChunkExtension);
      }
      return {};
    case State::kSizeLf:
      if (c != '\n') return fail(Http1Fault::kChunkSize);
      digits_ = 0;
      state_ = left_ == 0 ? State::kTrailers : State::kChunkData;
      return {};
    case State::kDataCr:
      if (c != '\r') return fail(Http1Fault::kChunkEnd);
      state_ = State::kDataLf;
      return {};
    default:  // kDataLf: the others take no single bytes
      if (c != '\n') return fail(Http1Fault::kChunkEnd);
      state_ = State::kSize;
      return {};
  }
}

bool may_be_trailer(std::string_view name) {
  return std::ranges::none_of(
      kForbiddenTrailers, [&](std::string_view other) { return equal_ignoring_case(name, other); });
}

Result<void> BodyReader::trailer_line() {
  std::string_view line;
  if (const Http1Fault fault = trailers_.line(line); fault != Http1Fault::kNone) {
    return fail(fault);
  }
  if (line.empty()) {
    state_ = State::kDone;
    return {};
  }
  if (const Http1Fault fault = trailers_.index(line); fault != Http1Fault::kNone) {
    return fail(fault);
  }
  const std::string_view name = line.substr(0, line.find(':'));
  if (!may_be_trailer(name)) return fail(Http1Fault::kTrailer);
  trailers_.next_line();
  return {};
}

Result<void> BodyReader::finish() {
  if (state_ == State::kFailed) return failed();
  if (state_ == State::kUntilClose) state_ = State::kDone;
  if (state_ == State::kDone) return {};
  fault_ = Http1Fault::kCutShort;
  state_ = State::kFailed;
  return failed();
}

Failure BodyReader::fail(Http1Fault fault) {
  fault_ = fault;
  state_ = State::kFailed;
  return failed();
}

Failure BodyReader::failed() const {
  if (fault_ == Http1Fault::kCutShort) {
    return failure(Error::kUpstream, "the connection closed before the end of the body");
  }
  Error::Code code = Error::kInvalid;
  if (fault_ == Http1Fault::kHeadTooLarge) code = Error::kTooLarge;
  if (fault_ == Http1Fault::kTooManyHeaders) code = Error::kTooMany;
  return failure(code, "the HTTP/1.1 body is refused: " + std::string(label(fault_)));
}

}  // namespace gatehouse::wire
