// SPDX-License-Identifier: Apache-2.0
// Strong identifiers: 128 bits, time-ordered (UUIDv7 layout, RFC 9562 section 5.7), written as a
// prefix and 26 characters of Crockford base32: `run_01jd...`. An Id of one kind does not compare
// with another kind's.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gatehouse {

using IdBytes = std::array<std::uint8_t, 16>;

// New bytes from the system's random source and the wall clock.
[[nodiscard]] IdBytes new_id_bytes();
[[nodiscard]] std::string id_text(std::string_view prefix, const IdBytes& bytes);
// Errors: kInvalid when the prefix or the alphabet is wrong.
[[nodiscard]] Result<IdBytes> parse_id(std::string_view prefix, std::string_view text);

template <class Tag>
class Id {
 public:
  [[nodiscard]] static Id fresh() { return Id(new_id_bytes()); }
  [[nodiscard]] static Id from_bytes(const IdBytes& bytes) { return Id(bytes); }
  [[nodiscard]] static Result<Id> parse(std::string_view text) {
    return Id(TRY(parse_id(Tag::kPrefix, text)));
  }

  [[nodiscard]] std::string text() const { return id_text(Tag::kPrefix, bytes_); }
  [[nodiscard]] const IdBytes& bytes() const { return bytes_; }
  friend auto operator<=>(const Id&, const Id&) = default;

 private:
  explicit Id(const IdBytes& bytes) : bytes_(bytes) {}
  IdBytes bytes_;
};

struct RunTag {
  static constexpr std::string_view kPrefix = "run_";
};
struct LeaseTag {
  static constexpr std::string_view kPrefix = "lse_";
};
struct ExchangeTag {
  static constexpr std::string_view kPrefix = "exc_";
};
struct ConnectionTag {
  static constexpr std::string_view kPrefix = "con_";
};
using RunId = Id<RunTag>;
using LeaseId = Id<LeaseTag>;
using ExchangeId = Id<ExchangeTag>;
using ConnectionId = Id<ConnectionTag>;

// W3C trace context, version 00 (https://www.w3.org/TR/trace-context/): 16 bytes of trace, 8 of
// span; never all zero.
struct TraceId {
  std::array<std::uint8_t, 16> bytes{};
  [[nodiscard]] static TraceId fresh();
  [[nodiscard]] std::string text() const;
  [[nodiscard]] static Result<TraceId> parse(std::string_view hex);
  friend auto operator<=>(const TraceId&, const TraceId&) = default;
};
struct SpanId {
  std::array<std::uint8_t, 8> bytes{};
  [[nodiscard]] static SpanId fresh();
  [[nodiscard]] std::string text() const;
  friend auto operator<=>(const SpanId&, const SpanId&) = default;
};

template <class Tag>
struct IdHash {
  std::size_t operator()(const Id<Tag>& id) const {
    std::size_t low = 0;
    std::memcpy(&low, id.bytes().data() + 8, sizeof low);  // the random half
    return low;
  }
};

}  // namespace gatehouse
