// SPDX-License-Identifier: Apache-2.0
#include "wire/trace.h"

#include <algorithm>

#include "wire/characters.h"

namespace gatehouse::wire {
namespace {

constexpr std::size_t kSize = 55;  // of 00-<32>-<16>-<2>

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

std::string TraceParent::text() const {
  return "00-" + trace.text() + "-" + parent.text() + (sampled ? "-01" : "-00");
}

}  // namespace gatehouse::wire
