// SPDX-License-Identifier: Apache-2.0
#include "wire/event_stream.h"

#include <algorithm>
#include <array>

namespace gatehouse::wire {
namespace {

constexpr std::size_t kPrelude = 12;  // total length, headers' length, checksum of both
constexpr std::size_t kChecksum = 4;
constexpr std::uint8_t kString = 7;

// The sizes of values by type (bool true, bool false, byte, short, int, long, bytes, string, time,
// uuid); bytes and strings say theirs in two bytes.
constexpr std::array<int, 10> kValueSizes = {0, 0, 1, 2, 4, 8, -1, -1, 8, 16};

constexpr std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value & 1U) != 0 ? 0xedb88320U ^ (value >> 1U) : value >> 1U;
    }
    table.at(i) = value;
  }
  return table;
}
constexpr auto kCrcTable = crc_table();

std::uint32_t number(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint32_t value = 0;
  for (const char c : bytes.substr(at, size)) value = value << 8U | static_cast<std::uint8_t>(c);
  return value;
}

void put(std::string& out, std::size_t value, int size) {
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) {
    out += static_cast<char>(value >> static_cast<unsigned>(shift) & 0xffU);
  }
}

Failure broken(std::string_view what) {
  return failure(Error::kInvalid, "the event stream is broken: " + std::string(what));
}

// A header's bytes from the front of `rest`, which moves behind it.
Result<std::string_view> taken(std::string_view& rest, std::size_t size) {
  if (rest.size() < size) return broken("a header is cut off");
  const std::string_view part = rest.substr(0, size);
  rest.remove_prefix(size);
  return part;
}

Result<void> read_header(std::string_view& rest, EventStreamEvent& event) {
  const std::size_t name_size = number(TRY(taken(rest, 1)), 0, 1);
  const std::string_view name = TRY(taken(rest, name_size));
  const std::size_t type = number(TRY(taken(rest, 1)), 0, 1);
  if (type >= kValueSizes.size()) return broken("a header has a type that nobody knows");
  int size = kValueSizes.at(type);
  if (size < 0) size = static_cast<int>(number(TRY(taken(rest, 2)), 0, 2));
  const std::string_view value = TRY(taken(rest, static_cast<std::size_t>(size)));
  if (type != kString) return {};
  if (name == ":message-type") event.message_type = value;
  if (name == ":event-type" || name == ":exception-type" || name == ":error-code") {
    event.type = value;
  }
  return {};
}

Result<EventStreamEvent> event_of(std::string_view frame) {
  const std::size_t headers_size = number(frame, 4, 4);
  if (headers_size > frame.size() - kPrelude - kChecksum) return broken("its headers do not fit");
  const std::size_t end = frame.size() - kChecksum;
  if (crc32(frame.substr(0, end)) != number(frame, end, 4)) return broken("a checksum is wrong");
  EventStreamEvent event{.raw = frame};
  std::string_view headers = frame.substr(kPrelude, headers_size);
  while (!headers.empty()) TRY(read_header(headers, event));
  event.data = frame.substr(kPrelude + headers_size, end - kPrelude - headers_size);
  return event;
}

// The size of the frame that begins there; nothing while too little of it has come.
Result<std::optional<std::size_t>> frame_size(std::string_view begun, std::size_t most) {
  if (begun.size() < kPrelude) return std::optional<std::size_t>();
  if (crc32(begun.substr(0, 8)) != number(begun, 8, 4)) return broken("a checksum is wrong");
  const std::size_t size = number(begun, 0, 4);
  if (size < kPrelude + kChecksum) return broken("a frame is too short");
  if (size > most) return failure(Error::kTooLarge, "a frame is too large to be read");
  return std::optional(size);
}

}  // namespace

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t value = 0xffffffffU;
  for (const char c : bytes) {
    value = kCrcTable.at((value ^ static_cast<std::uint8_t>(c)) & 0xffU) ^ (value >> 8U);
  }
  return value ^ 0xffffffffU;
}

Result<EventStreamProgress> EventStreamParser::feed(std::string_view input) {
  if (has_event_) {
    buffer_.clear();
    has_event_ = false;
  }
  if (failed_) return broken("it could not be read before");
  const auto fail = [&](const Error& error) {
    failed_ = true;
    return Failure(error);
  };
  // So much as tells the size, then so much as the frame needs.
  const std::size_t held = buffer_.size();
  std::string head = buffer_.substr(0, kPrelude);
  head += input.substr(0, kPrelude - head.size());
  const auto size = frame_size(head, event_most_);
  if (!size) return fail(size.error());
  if (!*size || held + input.size() < **size) {
    buffer_ += input;
    return EventStreamProgress{input.size(), std::nullopt};
  }
  const std::size_t taken_now = **size - held;
  const bool is_direct = buffer_.empty();
  if (!is_direct) buffer_ += input.substr(0, taken_now);
  const auto event = event_of(is_direct ? input.substr(0, taken_now) : std::string_view(buffer_));
  if (!event) {
    buffer_.resize(held);
    return fail(event.error());
  }
  has_event_ = true;
  return EventStreamProgress{taken_now, *event};
}

std::string event_stream_frame(
    std::initializer_list<std::pair<std::string_view, std::string_view>> headers,
    std::string_view payload) {
  std::string encoded;
  for (const auto& [name, value] : headers) {
    put(encoded, name.size(), 1);
    encoded.append(name);
    put(encoded, kString, 1);
    put(encoded, value.size(), 2);
    encoded.append(value);
  }
  std::string frame;
  put(frame, kPrelude + encoded.size() + payload.size() + kChecksum, 4);
  put(frame, encoded.size(), 4);
  put(frame, crc32(frame), 4);
  frame.append(encoded).append(payload);
  put(frame, crc32(frame), 4);
  return frame;
}

}  // namespace gatehouse::wire
