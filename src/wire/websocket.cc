// SPDX-License-Identifier: Apache-2.0
#include "wire/websocket.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

#include "base/encoding.h"

namespace gatehouse::wire {
namespace {

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // section 1.3
constexpr std::size_t kKeyBytes = 16;
constexpr std::uint8_t kFinal = 0x80;
constexpr std::uint8_t kReserved = 0x70;
constexpr std::uint8_t kOpcode = 0x0f;
constexpr std::uint8_t kControl = 0x08;
constexpr std::uint8_t kMasked = 0x80;
constexpr std::uint8_t kLength = 0x7f;
constexpr std::uint8_t kLength16 = 126;
constexpr std::uint8_t kLength64 = 127;

std::uint8_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]);
}

std::uint64_t number(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8U | static_cast<std::uint8_t>(c);
  return value;
}

void put(std::string& out, std::uint64_t value, std::size_t size) {
  for (std::size_t i = size; i-- > 0;) out += static_cast<char>(value >> 8 * i & 0xffU);
}

// `offset` is how much of the frame's payload stands before it.
void apply_mask(char* data, std::size_t size, const WebSocketMask& mask, std::uint64_t offset) {
  std::array<std::uint8_t, 8> turned{};
  for (std::size_t i = 0; i < turned.size(); ++i) turned.at(i) = mask.at((offset + i) % 4);
  std::uint64_t wide = 0;
  std::memcpy(&wide, turned.data(), sizeof wide);
  std::size_t i = 0;
  for (; i + sizeof wide <= size; i += sizeof wide) {
    std::uint64_t word = 0;
    std::memcpy(&word, data + i, sizeof word);
    word ^= wide;
    std::memcpy(data + i, &word, sizeof word);
  }
  for (; i < size; ++i) data[i] = static_cast<char>(data[i] ^ turned.at(i % turned.size()));
}

bool is_known(std::uint8_t opcode) { return opcode <= 2 || (opcode >= 8 && opcode <= 10); }

// What may stand in a Close: the RFC's own and the registered ones, and those of libraries and
// applications (sections 7.4.1 and 7.4.2).
bool is_sendable(std::uint16_t code) {
  if (code >= 3000) return code <= 4999;
  return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
}

// A field of the handshake that comes exactly once.
std::optional<std::string_view> only(const Headers& headers, std::string_view name) {
  if (headers.count(name) != 1) return std::nullopt;
  return headers.find(name);
}

Result<std::vector<std::string>> offered_protocols(const Headers& headers) {
  std::vector<std::string> protocols;
  for (std::string_view rest : headers.all("sec-websocket-protocol")) {
    while (true) {
      const std::size_t comma = rest.find(',');
      const std::string_view protocol = trimmed(rest.substr(0, comma));
      if (protocol.empty() || !all_are(kTokenChar, protocol)) {
        return failure(Error::kInvalid, "a Sec-WebSocket-Protocol that is no list of tokens");
      }
      if (std::ranges::find(protocols, protocol) != protocols.end()) {
        return failure(Error::kInvalid, "a Sec-WebSocket-Protocol that offers the same twice");
      }
      if (protocols.size() == kMaxSubprotocols) {
        return failure(Error::kTooMany, "a WebSocket that offers more than 32 subprotocols");
      }
      protocols.emplace_back(protocol);
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return protocols;
}

Failure not_accepted(std::string_view why) {
  return failure(Error::kUpstream, fmt::format("the upstream's 101 opens no WebSocket: {}", why));
}

}  // namespace

Result<std::optional<WebSocketOffer>> websocket_offer(const RequestHead& head) {
  const Headers& headers = head.headers;
  if (head.method != "GET" || head.version != HttpVersion::k11
      || !headers.has_token("connection", "upgrade")
      || !headers.has_token("upgrade", "websocket")) {
    return std::optional<WebSocketOffer>();
  }
  if (head.framing.kind != BodyFraming::Kind::kNone) {
    return failure(Error::kInvalid, "a request for a WebSocket has no body");
  }
  const auto version = only(headers, "sec-websocket-version");
  if (!version) return failure(Error::kInvalid, "a WebSocket needs one Sec-WebSocket-Version");
  if (*version != "13") {
    return failure(Error::kUnsupported,
                   "of WebSocket only version 13 (RFC 6455) is spoken; ask with "
                   "Sec-WebSocket-Version: 13");
  }
  if (!has_websocket_key(headers)) {
    return failure(Error::kInvalid,
                   "a WebSocket needs one Sec-WebSocket-Key, of 16 bytes in base64");
  }
  const std::string_view key = headers.find("sec-websocket-key").value_or("");
  return WebSocketOffer{std::string(key), TRY(offered_protocols(headers))};
}

bool has_websocket_key(const Headers& headers) {
  const auto key = only(headers, "sec-websocket-key");
  const auto nonce = key ? from_base64(*key) : failure(Error::kInvalid, "");
  return nonce && nonce->size() == kKeyBytes;
}

std::string websocket_accept(std::string_view key) {
  const std::string joined = std::string(key).append(kGuid);
  std::array<std::uint8_t, SHA_DIGEST_LENGTH> digest{};
  SHA1(bytes_of(joined).data(), joined.size(), digest.data());
  return to_base64(text_of(digest));
}

Result<void> check_websocket_answer(const WebSocketOffer& offer, const ResponseHead& head) {
  const Headers& headers = head.headers;
  const auto upgrade = only(headers, "upgrade");
  if (!upgrade || !equal_ignoring_case(*upgrade, "websocket")
      || !headers.has_token("connection", "upgrade")) {
    return not_accepted("it changes to another protocol");
  }
  if (only(headers, "sec-websocket-accept") != websocket_accept(offer.key)) {
    return not_accepted("its Sec-WebSocket-Accept does not belong to the key");
  }
  if (headers.count("sec-websocket-extensions") > 0) {
    return not_accepted("it uses an extension, and none was offered");
  }
  if (headers.count("sec-websocket-protocol") == 0) return {};
  const auto chosen = only(headers, "sec-websocket-protocol");
  if (!chosen || std::ranges::find(offer.protocols, *chosen) == offer.protocols.end()) {
    return not_accepted("it chose a subprotocol that was not offered");
  }
  return {};
}

void set_websocket_upgrade(Headers& headers) {
  remove_hop_by_hop(headers);
  headers.set("connection", "Upgrade");
  headers.set("upgrade", "websocket");
}

std::size_t unfinished_utf8(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const std::uint8_t byte = byte_at(text, text.size() - back);
    if ((byte & 0xc0U) == 0x80U) continue;
    const std::size_t whole = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return whole > back ? back : 0;
  }
  return 0;
}

Failure WebSocketParser::fail(std::uint16_t close_code, Error::Code code, std::string_view what) {
  close_code_ = close_code;
  failure_ = Error(code, fmt::format("the WebSocket is broken: {}", what));
  return Failure(failure_);
}

Result<WebSocketProgress> WebSocketParser::feed(std::string_view input) {
  if (close_code_ != 0) return Failure(failure_);
  piece_.erase(0, shown_);
  shown_ = 0;
  std::size_t at = 0;
  while (true) {
    if (!in_payload_) {
      if (at == input.size()) break;
      if (is_closed_) {
        return fail(WebSocketCode::kProtocolError, Error::kInvalid, "it goes on after its Close");
      }
      header_ += input[at++];
      if (header_.size() == 2) TRY(check_start());
      if (header_.size() < header_size()) continue;
      TRY(begin_frame());
    }
    at += take_payload(input.substr(at));
    Event event;
    if (left_ == 0) {
      event = TRY(end_frame());
    } else if (piece_.size() == kMaxWebSocketPiece) {
      event = TRY(part(false));
    } else {
      break;  // all of the input is taken
    }
    if (event) return WebSocketProgress{at, event};
  }
  return WebSocketProgress{at, std::nullopt};
}

std::size_t WebSocketParser::header_size() const {
  if (header_.size() < 2) return 2;
  const std::uint8_t second = byte_at(header_, 1);
  const std::uint8_t length = second & kLength;
  const std::size_t extended = length == kLength64 ? 8 : length == kLength16 ? 2 : 0;
  return 2 + extended + ((second & kMasked) != 0 ? 4 : 0);
}

// What its first two bytes say.
Result<void> WebSocketParser::check_start() {
  const std::uint8_t first = byte_at(header_, 0);
  const std::uint8_t second = byte_at(header_, 1);
  const auto refuse = [this](std::string_view what) {
    return fail(WebSocketCode::kProtocolError, Error::kInvalid, what);
  };
  if ((first & kReserved) != 0) return refuse("a reserved bit is set, and no extension is spoken");
  if (!is_known(first & kOpcode)) return refuse("an opcode that nobody knows");
  if (((second & kMasked) != 0) != (peer_ == WebSocketPeer::kClient)) {
    return refuse(peer_ == WebSocketPeer::kClient ? "a client's frame without a mask"
                                                  : "a server's frame with a mask");
  }
  if ((first & kControl) == 0) return {};
  if ((first & kFinal) == 0) return refuse("a control frame in fragments");
  if ((second & kLength) > kMaxWebSocketControl) return refuse("a control frame above 125 bytes");
  return {};
}

Result<void> WebSocketParser::begin_frame() {
  std::string_view header = header_;
  is_final_ = (byte_at(header, 0) & kFinal) != 0;
  opcode_ = static_cast<WebSocketOpcode>(byte_at(header, 0) & kOpcode);
  left_ = byte_at(header, 1) & kLength;
  if (peer_ == WebSocketPeer::kClient) {
    std::memcpy(mask_.data(), header.data() + header.size() - mask_.size(), mask_.size());
    header.remove_suffix(mask_.size());
  }
  if (left_ >= kLength16) {
    const std::uint64_t least = left_ == kLength64 ? 0x10000 : kLength16;
    left_ = number(header.substr(2));
    if (left_ < least || left_ >> 63U != 0) {
      return fail(WebSocketCode::kProtocolError, Error::kInvalid,
                  "a length that is not said in the fewest bytes");
    }
  }
  header_.clear();
  taken_ = 0;
  in_payload_ = true;
  if (opcode_ < WebSocketOpcode::kClose) return begin_data_frame(opcode_);
  control_.clear();
  return {};
}

Result<void> WebSocketParser::begin_data_frame(WebSocketOpcode opcode) {
  const bool continues = opcode == WebSocketOpcode::kContinuation;
  if (continues != is_mid_message()) {
    return fail(WebSocketCode::kProtocolError, Error::kInvalid,
                continues ? "a continuation of nothing" : "a message inside of another");
  }
  if (!continues) {
    message_ = opcode;
    message_size_ = 0;
    fragments_ = 0;
    has_begun_ = false;
  }
  if (++fragments_ > limits_.fragments_most) {
    return fail(WebSocketCode::kPolicy, Error::kTooMany,
                fmt::format("a message of more than {} fragments", limits_.fragments_most));
  }
  if (left_ > limits_.message_most - message_size_) {
    return fail(WebSocketCode::kTooBig, Error::kTooLarge,
                fmt::format("a message of more than {} bytes", limits_.message_most));
  }
  message_size_ += left_;
  return {};
}

std::size_t WebSocketParser::take_payload(std::string_view input) {
  std::string& into = opcode_ >= WebSocketOpcode::kClose ? control_ : piece_;
  const std::size_t size = static_cast<std::size_t>(
      std::min<std::uint64_t>({left_, input.size(), kMaxWebSocketPiece - into.size()}));
  into += input.substr(0, size);
  if (peer_ == WebSocketPeer::kClient) {
    apply_mask(into.data() + into.size() - size, size, mask_, taken_);
  }
  taken_ += size;
  left_ -= size;
  return size;
}

Result<WebSocketParser::Event> WebSocketParser::end_frame() {
  in_payload_ = false;
  if (opcode_ >= WebSocketOpcode::kClose) return control_event();
  if (!is_final_ && piece_.empty()) return Event();
  return part(is_final_);
}

Result<WebSocketParser::Event> WebSocketParser::control_event() {
  WebSocketEvent event{.opcode = opcode_, .payload = control_};
  if (opcode_ != WebSocketOpcode::kClose) return Event(event);
  is_closed_ = true;
  event.code = WebSocketCode::kNone;
  if (control_.empty()) return Event(event);
  event.code = control_.size() < 2 ? std::uint16_t{0}
                                   : static_cast<std::uint16_t>(number(event.payload.substr(0, 2)));
  if (!is_sendable(event.code)) {
    return fail(WebSocketCode::kProtocolError, Error::kInvalid, "a Close with a code that is none");
  }
  event.payload.remove_prefix(2);
  if (!is_utf8(event.payload)) {
    return fail(WebSocketCode::kInvalidData, Error::kInvalid, "a Close's reason is not UTF-8");
  }
  return Event(event);
}

// What has come of the message since the last part; of a text, whole characters.
Result<WebSocketParser::Event> WebSocketParser::part(bool ends) {
  shown_ = piece_.size();
  if (message_ == WebSocketOpcode::kText) {
    if (!ends) shown_ -= unfinished_utf8(piece_);
    if (!is_utf8(std::string_view(piece_).substr(0, shown_))) {
      return fail(WebSocketCode::kInvalidData, Error::kInvalid, "a text that is not UTF-8");
    }
  }
  if (shown_ == 0 && !ends) return Event();
  const WebSocketEvent event{.opcode = message_,
                             .begins = !has_begun_,
                             .ends = ends,
                             .payload = std::string_view(piece_).substr(0, shown_)};
  has_begun_ = true;
  if (ends) message_ = WebSocketOpcode::kContinuation;
  return Event(event);
}

void append_websocket_frame(std::string& out, WebSocketOpcode opcode, bool is_final,
                            std::string_view payload, const std::optional<WebSocketMask>& mask) {
  out += static_cast<char>(static_cast<std::uint8_t>(opcode) | (is_final ? kFinal : 0U));
  const std::uint8_t masked = mask ? kMasked : 0;
  if (payload.size() < kLength16) {
    out += static_cast<char>(payload.size() | masked);
  } else if (payload.size() <= 0xffff) {
    out += static_cast<char>(kLength16 | masked);
    put(out, payload.size(), 2);
  } else {
    out += static_cast<char>(kLength64 | masked);
    put(out, payload.size(), 8);
  }
  if (mask) out += text_of(*mask);
  out += payload;
  if (mask) apply_mask(out.data() + out.size() - payload.size(), payload.size(), *mask, 0);
}

void append_websocket_close(std::string& out, std::uint16_t code, std::string_view reason,
                            const std::optional<WebSocketMask>& mask) {
  std::string payload;
  if (code != WebSocketCode::kNone) {
    put(payload, code, 2);
    reason = reason.substr(0, kMaxWebSocketReason);
    payload += reason.substr(0, reason.size() - unfinished_utf8(reason));
  }
  append_websocket_frame(out, WebSocketOpcode::kClose, true, payload, mask);
}

}  // namespace gatehouse::wire
