// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/encoding.h"
#include "wire/http1.h"

namespace gatehouse::wire {
namespace {

constexpr std::string_view kFaultLabels[] = {
    "none",
    "head_too_large",
    "start_line_too_long",
    "too_many_headers",
    "line_end",
    "folded_line",
    "header_name",
    "header_value",
    "start_line",
    "method",
    "version",
    "target",
    "host",
    "host_mismatch",
    "content_length",
    "transfer_encoding",
    "framing_conflict",
    "status",
    "chunk_size",
    "chunk_extension",
    "chunk_end",
    "trailer",
    "cut_short",
};

std::optional<HttpVersion> version_of(std::string_view text) {
  if (text == "HTTP/1.1") return HttpVersion::k11;
  if (text == "HTTP/1.0") return HttpVersion::k10;
  return std::nullopt;
}

// What the fields say of a body's framing and of the host; one pass.
struct Framing {
  std::optional<std::uint64_t> length;
  bool chunked = false;
  std::size_t hosts = 0;
  std::string_view host;
  Http1Fault fault = Http1Fault::kNone;
};

// 1*DIGIT below 10^18, without leading zeros, which some read as octal.
std::optional<std::uint64_t> content_length(std::string_view text) {
  if (text.empty() || text.size() > 18 || !all_are(kDigitChar, text)) return std::nullopt;
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) value = value * 10 + static_cast<std::uint64_t>(c - '0');
  return value;
}

Framing framing_of(const Headers& headers, HttpVersion version) {
  Framing found;
  for (const Header header : headers) {
    switch (header.name.size()) {
      case 4:
        if (equal_ignoring_case(header.name, "host")) {
          ++found.hosts;
          found.host = header.value;
        }
        break;
      case 14:
        if (equal_ignoring_case(header.name, "content-length")) {
          const auto length = content_length(header.value);
          if (!length || found.length) found.fault = Http1Fault::kContentLength;
          found.length = length;
        }
        break;
      case 17:
        if (equal_ignoring_case(header.name, "transfer-encoding")) {
          const bool known = equal_ignoring_case(header.value, "chunked");
          if (!known || found.chunked || version == HttpVersion::k10) {
            found.fault = Http1Fault::kTransferEncoding;
          }
          found.chunked = true;
        }
        break;
      default:
        break;
    }
  }
  if (found.chunked && found.length) found.fault = Http1Fault::kFramingConflict;
  return found;
}

BodyFraming with_length(std::uint64_t length) {
  if (length == 0) return {};
  return {BodyFraming::Kind::kLength, length};
}

Error::Code code_of(Http1Fault fault) {
  switch (fault) {
    case Http1Fault::kHeadTooLarge:
    case Http1Fault::kStartLineTooLong:
      return Error::kTooLarge;
    case Http1Fault::kTooManyHeaders:
      return Error::kTooMany;
    default:
      return Error::kInvalid;
  }
}

}  // namespace

std::string_view label(Http1Fault fault) { return kFaultLabels[static_cast<std::size_t>(fault)]; }

std::string_view RequestHead::path_and_query() const {
  const std::string_view all = target;
  switch (form) {
    case TargetForm::kOrigin:
    case TargetForm::kAsterisk:
      return all;
    case TargetForm::kAuthority:
      return {};
    case TargetForm::kAbsolute:
      break;
  }
  const std::size_t path = all.find('/', all.find("://") + 3);
  return path == std::string_view::npos ? "/" : all.substr(path);
}

bool ends_connection(HttpVersion version, const Headers& headers) {
  if (headers.has_token("connection", "close")) return true;
  return version == HttpVersion::k10 && !headers.has_token("connection", "keep-alive");
}

Result<BodyFraming> response_framing(const ResponseHead& head, std::string_view request_method) {
  const Framing found = framing_of(head.headers, head.version);
  if (found.fault != Http1Fault::kNone) {
    return failure(Error::kInvalid,
                   "the response's framing is refused: " + std::string(label(found.fault)));
  }
  if (head.status < 200 || head.status == 204) {
    if (found.chunked || found.length.value_or(0) != 0) {
      return failure(Error::kInvalid, "a response " + std::to_string(head.status)
                                          + " cannot carry a body, but its fields frame one");
    }
    return BodyFraming{};
  }
  if (request_method == "HEAD" || head.status == 304) return BodyFraming{};
  if (request_method == "CONNECT" && head.status < 300) return BodyFraming{};
  if (found.chunked) return BodyFraming{BodyFraming::Kind::kChunked, 0};
  if (found.length) return with_length(*found.length);
  return BodyFraming{BodyFraming::Kind::kUntilClose, 0};
}

bool FieldLines::take(std::string_view& input) {
  const void* const lf = std::memchr(input.data(), '\n', input.size());
  std::size_t size =
      lf == nullptr ? input.size()
                    : static_cast<std::size_t>(static_cast<const char*>(lf) - input.data()) + 1;
  const std::size_t room = max_bytes_ + 1 - std::min(max_bytes_ + 1, headers.arena_.size());
  const bool whole = lf != nullptr && size <= room;
  size = std::min(size, room);
  if (headers.arena_.empty()) headers.arena_.reserve(std::min(input.size(), std::size_t{2048}));
  headers.arena_.append(input.substr(0, size));
  input.remove_prefix(size);
  return whole;
}

Http1Fault FieldLines::line(std::string_view& out) const {
  out = std::string_view(headers.arena_).substr(line_at_);
  if (!out.ends_with("\r\n")) return Http1Fault::kLineEnd;
  out.remove_suffix(2);
  return Http1Fault::kNone;
}

Http1Fault FieldLines::index(std::string_view line) {
  if (line[0] == ' ' || line[0] == '\t') return Http1Fault::kFoldedLine;
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  if (colon == std::string_view::npos || name.empty() || !all_are(kTokenChar, name)) {
    return Http1Fault::kHeaderName;
  }
  const std::string_view raw = line.substr(colon + 1);
  if (!all_are(kValueChar, raw)) return Http1Fault::kHeaderValue;
  if (headers.fields_.size() == kMaxHeaders) return Http1Fault::kTooManyHeaders;
  if (headers.fields_.empty()) headers.fields_.reserve(16);
  const std::string_view value = trimmed(raw);
  const auto offset = [&](const char* at) {
    return static_cast<std::uint32_t>(at - headers.arena_.data());
  };
  headers.fields_.push_back({offset(name.data()), static_cast<std::uint32_t>(name.size()),
                             offset(value.data()), static_cast<std::uint32_t>(value.size())});
  return Http1Fault::kNone;
}

Failure HeadParser::fail(Http1Fault fault, std::string_view detail) {
  state_ = State::kFailed;
  fault_ = fault;
  detail_ = detail;
  return failed();
}

Failure HeadParser::failed() const {
  std::string message = "the HTTP/1.1 head is refused: " + std::string(label(fault_));
  if (!detail_.empty()) message += ": " + detail_;
  return failure(code_of(fault_), std::move(message));
}

template <class StartLine, class Finish>
Result<HeadProgress> HeadParser::feed_lines(std::string_view input, StartLine start_line,
                                            Finish finish) {
  if (state_ == State::kFailed) return failed();
  const std::size_t offered = input.size();
  while (state_ != State::kDone && !input.empty()) {
    const bool whole = lines_.take(input);
    if (state_ == State::kStart && lines_.line_size() > kMaxStartLine) {
      return fail(Http1Fault::kStartLineTooLong);
    }
    if (lines_.too_large()) return fail(Http1Fault::kHeadTooLarge);
    if (!whole) break;
    std::string_view line;
    if (const Http1Fault fault = lines_.line(line); fault != Http1Fault::kNone) return fail(fault);
    if (state_ == State::kStart) {
      TRY(start_line(line));
      state_ = State::kFields;
    } else if (line.empty()) {
      TRY(finish());
      state_ = State::kDone;
    } else if (const Http1Fault fault = lines_.index(line); fault != Http1Fault::kNone) {
      return fail(fault);
    }
    lines_.next_line();
  }
  return HeadProgress{offered - input.size(), state_ == State::kDone};
}

Result<HeadProgress> RequestParser::feed(std::string_view input) {
  return feed_lines(
      input, [this](std::string_view line) { return start_line(line); },
      [this] { return finish(); });
}

RequestHead RequestParser::take() {
  CHECK(done());
  head_.headers = std::move(lines_.headers);
  return std::move(head_);
}

Result<void> RequestParser::start_line(std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return fail(Http1Fault::kStartLine);
  const std::string_view method = line.substr(0, first);
  if (method.empty() || method.size() > kMaxMethod || !all_are(kTokenChar, method)) {
    return fail(Http1Fault::kMethod);
  }
  const auto version = version_of(line.substr(last + 1));
  if (!version) return fail(Http1Fault::kVersion);
  head_.version = *version;
  head_.method = method;
  head_.target = line.substr(first + 1, last - first - 1);
  return target();
}

Result<void> RequestParser::target() {
  const std::string_view text = head_.target;
  if (text.empty() || !all_are(kTargetChar, text)) return fail(Http1Fault::kTarget);
  if (head_.method == "CONNECT") {
    auto authority = Authority::parse(text);
    if (!authority) return fail(Http1Fault::kTarget, authority.error().message());
    if (!authority->port) return fail(Http1Fault::kTarget, "CONNECT names no port");
    head_.form = TargetForm::kAuthority;
    head_.authority = *std::move(authority);
    return {};
  }
  if (text == "*") {
    if (head_.method != "OPTIONS") return fail(Http1Fault::kTarget);
    head_.form = TargetForm::kAsterisk;
    return {};
  }
  if (text[0] == '/') {
    if (!is_path_and_query(text)) return fail(Http1Fault::kTarget);
    return {};
  }
  const auto url = Url::parse(text);
  if (!url) return fail(Http1Fault::kTarget, url.error().message());
  const std::size_t begin = text.find("://") + 3;
  head_.form = TargetForm::kAbsolute;
  head_.scheme = url->scheme;
  head_.authority = TRY(Authority::parse(text.substr(begin, text.find('/', begin) - begin)));
  return {};
}

Result<void> RequestParser::finish() {
  const Framing found = framing_of(lines_.headers, head_.version);
  if (found.fault != Http1Fault::kNone) return fail(found.fault);
  if (found.hosts > 1) return fail(Http1Fault::kHost, "there is more than one");
  if (found.hosts == 0 && head_.version == HttpVersion::k11) {
    return fail(Http1Fault::kHost, "there is none");
  }
  if (found.hosts == 1) {
    auto host = Authority::parse(found.host);
    if (!host) return fail(Http1Fault::kHost, host.error().message());
    if (head_.authority) {
      const bool same_port =
          head_.scheme ? host->port_or(*head_.scheme) == head_.authority->port_or(*head_.scheme)
                       : !host->port || host->port == head_.authority->port;
      if (host->host != head_.authority->host || !same_port) {
        return fail(Http1Fault::kHostMismatch);
      }
    } else {
      head_.authority = *std::move(host);
    }
  }
  if (head_.form == TargetForm::kAuthority && (found.chunked || found.length.value_or(0) != 0)) {
    return fail(Http1Fault::kFramingConflict, "CONNECT has no body");
  }
  head_.framing = found.chunked ? BodyFraming{BodyFraming::Kind::kChunked, 0}
                                : with_length(found.length.value_or(0));
  return {};
}

Result<HeadProgress> ResponseParser::feed(std::string_view input) {
  return feed_lines(
      input, [this](std::string_view line) { return start_line(line); },
      [this] { return finish(); });
}

ResponseHead ResponseParser::take() {
  CHECK(done());
  head_.headers = std::move(lines_.headers);
  return std::move(head_);
}

// status-line = HTTP-version SP status-code SP [ reason-phrase ] (RFC 9112 section 4).
Result<void> ResponseParser::start_line(std::string_view line) {
  const auto version = version_of(line.substr(0, 8));
  if (!version) return fail(Http1Fault::kVersion);
  if (line.size() < 13 || line[8] != ' ' || line[12] != ' ') return fail(Http1Fault::kStatus);
  const std::string_view digits = line.substr(9, 3);
  if (!all_are(kDigitChar, digits) || digits[0] == '0') return fail(Http1Fault::kStatus);
  if (!all_are(kValueChar, line.substr(13))) return fail(Http1Fault::kStatus);
  head_.version = *version;
  head_.status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
  head_.reason = line.substr(13);
  return {};
}

Result<void> ResponseParser::finish() {
  const Framing found = framing_of(lines_.headers, head_.version);
  if (found.fault != Http1Fault::kNone) return fail(found.fault);
  return {};
}

}  // namespace gatehouse::wire
