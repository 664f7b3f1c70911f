// SPDX-License-Identifier: Apache-2.0
#include "wire/trace.h"

#include <algorithm>
#include <vector>

#include "wire/characters.h"
#include "wire/headers.h"

namespace gatehouse::wire {
namespace {

constexpr std::size_t kSize = 55;  // of 00-<32>-<16>-<2>
constexpr std::size_t kStateMembersMost = 32;
constexpr std::size_t kStateKeyMost = 256;
constexpr std::size_t kStateValueMost = 256;

template <std::size_t N>
bool read_hex(std::string_view text, std::array<std::uint8_t, N>& out) {
  for (std::size_t i = 0; i < N; ++i) {
    const char high = text[2 * i];
    const char low = text[2 * i + 1];
    if (!is(kHexChar, high) || !is(kHexChar, low) || lowered(high) != high || lowered(low) != low) {
      return false;
    }
    out[i] = static_cast<std::uint8_t>(hex_value(high) << 4 | hex_value(low));
  }
  return true;
}

// As level 2 has keys.
bool is_state_key(std::string_view key) {
  const auto is_inner = [](char c) {
    return (c >= 'a' && c <= 'z') || is(kDigitChar, c) || c == '_' || c == '-' || c == '*'
           || c == '/' || c == '@';
  };
  if (key.empty() || key.size() > kStateKeyMost) return false;
  const bool begins = (key[0] >= 'a' && key[0] <= 'z') || is(kDigitChar, key[0]);
  return begins && std::ranges::all_of(key, is_inner);
}

bool is_state_value(std::string_view value) {
  return !value.empty() && value.size() <= kStateValueMost && value.back() != ' '
         && std::ranges::all_of(
             value, [](char c) { return c >= 0x20 && c <= 0x7e && c != ',' && c != '='; });
}

}  // namespace

Result<TraceParent> TraceParent::parse(std::string_view text) {
  TraceParent parsed;
  std::array<std::uint8_t, 1> version{};
  std::array<std::uint8_t, 1> flags{};
  const bool well_formed =
      text.size() >= kSize && text[2] == '-' && text[35] == '-' && text[52] == '-'
      && read_hex(text, version) && read_hex(text.substr(3), parsed.trace.bytes)
      && read_hex(text.substr(36), parsed.parent.bytes) && read_hex(text.substr(53), flags)
      && version[0] != 0xff && (text.size() == kSize || (version[0] != 0 && text[kSize] == '-'));
  if (!well_formed || parsed.trace == TraceId{} || parsed.parent == SpanId{}) {
    return failure(Error::kInvalid, "the traceparent is malformed (W3C Trace Context)");
  }
  parsed.sampled = (flags[0] & 1) != 0;
  return parsed;
}

Result<std::string> parse_tracestate(std::string_view text) {
  const auto bad = [] {
    return failure(Error::kInvalid, "the tracestate is malformed (W3C Trace Context)");
  };
  std::vector<std::string_view> keys;
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view member = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (member.empty()) continue;
    const std::size_t equals = member.find('=');
    if (equals == member.npos || keys.size() == kStateMembersMost) return bad();
    const std::string_view key = member.substr(0, equals);
    if (!is_state_key(key) || !is_state_value(member.substr(equals + 1))) return bad();
    if (std::ranges::find(keys, key) != keys.end()) return bad();
    keys.push_back(key);
    if (!out.empty()) out += ',';
    out += member;
  }
  return out;
}

std::string TraceParent::text() const {
  std::string out;
  out.reserve(kSize);
  return out.append("00-")
      .append(trace.text())
      .append("-")
      .append(parent.text())
      .append(sampled ? "-01" : "-00");
}

}  // namespace gatehouse::wire
