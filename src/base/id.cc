// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"

#include "base/encoding.h"
#include "base/random.h"
#include "base/time.h"

namespace gatehouse {
namespace {

constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::size_t kTextLength = 26;  // 128 bits in groups of five, the first group of three

}  // namespace

IdBytes new_id_bytes() {
  IdBytes bytes;
  fill_random(bytes);
  const auto millis = static_cast<std::uint64_t>(id_clock().unix_millis());
  for (int i = 0; i < 6; ++i)
    bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(millis >> (40 - 8 * i));
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0f) | 0x70);
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3f) | 0x80);
  return bytes;
}

std::string id_text(std::string_view prefix, const IdBytes& bytes) {
  std::string text(prefix);
  unsigned __int128 value = 0;
  for (const std::uint8_t byte : bytes) value = (value << 8) | byte;
  for (std::size_t i = 0; i < kTextLength; ++i) {
    text += kAlphabet[static_cast<std::size_t>(value >> (5 * (kTextLength - 1 - i))) & 31];
  }
  return text;
}

Result<IdBytes> parse_id(std::string_view prefix, std::string_view text) {
  if (!text.starts_with(prefix) || text.size() != prefix.size() + kTextLength) {
    return failure(Error::kInvalid, "expected an id such as " + id_text(prefix, IdBytes{})
                                        + ", got \"" + std::string(text.substr(0, 64)) + "\"");
  }
  unsigned __int128 value = 0;
  for (std::size_t i = prefix.size(); i < text.size(); ++i) {
    const std::size_t digit = kAlphabet.find(text[i]);
    if (digit == std::string_view::npos || (i == prefix.size() && digit > 7)) {
      return failure(Error::kInvalid,
                     "an id has a character that is not base32: \"" + std::string(text) + "\"");
    }
    value = (value << 5) | digit;
  }
  IdBytes bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(value >> (8 * (bytes.size() - 1 - i)));
  }
  return bytes;
}

TraceId TraceId::fresh() {
  TraceId id;
  fill_random(id.bytes);
  id.bytes[0] |= 1;  // never all zero
  return id;
}

std::string TraceId::text() const { return to_hex(bytes); }

Result<TraceId> TraceId::parse(std::string_view hex) {
  TraceId id;
  const std::string bytes = TRY(from_hex(hex));
  if (bytes.size() != id.bytes.size()) {
    return failure(Error::kInvalid, "a trace id is 32 hexadecimal digits");
  }
  std::memcpy(id.bytes.data(), bytes.data(), bytes.size());
  if (id == TraceId{}) return failure(Error::kInvalid, "a trace id must not be all zero");
  return id;
}

SpanId SpanId::fresh() {
  SpanId id;
  fill_random(id.bytes);
  id.bytes[0] |= 1;
  return id;
}

std::string SpanId::text() const { return to_hex(bytes); }

}  // namespace gatehouse
