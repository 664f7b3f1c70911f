// SPDX-License-Identifier: Apache-2.0
// The character classes of HTTP (RFC 9110 section 5.6.2, RFC 9112 section 3.2, RFC 3986) as one
// table of bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gatehouse::wire {

enum CharacterClass : std::uint8_t {
  kTokenChar = 1,     // RFC 9110 tchar
  kValueChar = 2,     // field-vchar, SP, HTAB, obs-text
  kTargetChar = 4,    // printable ASCII but space, #, ", <, >
  kDigitChar = 8,     // 0-9
  kHexChar = 16,      // 0-9 a-f A-F
  kVisibleChar = 32,  // 0x21-0x7e
  kUnreserved = 64,   // RFC 3986 section 2.3
};

namespace detail {
consteval std::array<std::uint8_t, 256> character_table() {
  std::array<std::uint8_t, 256> table{};
  for (unsigned c = 0; c < 256; ++c) {
    const bool digit = c >= '0' && c <= '9';
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool hex = digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    const bool visible = c >= 0x21 && c <= 0x7e;
    const char at = static_cast<char>(c);
    const bool token =
        digit || letter || (visible && std::string_view("!#$%&'*+-.^_`|~").contains(at));
    unsigned bits = 0;
    if (token) bits |= kTokenChar;
    if (visible || c == ' ' || c == '\t' || c >= 0x80) bits |= kValueChar;
    if (visible && !std::string_view("#\"<>").contains(at)) bits |= kTargetChar;
    if (digit) bits |= kDigitChar;
    if (hex) bits |= kHexChar;
    if (visible) bits |= kVisibleChar;
    if (digit || letter || (visible && std::string_view("-._~").contains(at))) bits |= kUnreserved;
    table[c] = static_cast<std::uint8_t>(bits);
  }
  return table;
}
inline constexpr auto kCharacters = character_table();
}  // namespace detail

[[nodiscard]] constexpr bool is(CharacterClass kind, char c) {
  return (detail::kCharacters[static_cast<unsigned char>(c)] & kind) != 0;
}
// True of the empty text.
[[nodiscard]] constexpr bool all_are(CharacterClass kind, std::string_view text) {
  unsigned bits = kind;
  for (const char c : text) bits &= detail::kCharacters[static_cast<unsigned char>(c)];
  return bits != 0;
}

[[nodiscard]] constexpr char lowered(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}
[[nodiscard]] inline std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lowered(c);
  return out;
}
// ASCII only, as HTTP's names are.
[[nodiscard]] constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lowered(a[i]) != lowered(b[i])) return false;
  }
  return true;
}
// Without spaces and tabs at both ends (OWS, RFC 9110 section 5.6.3).
[[nodiscard]] constexpr std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The value of a hexadecimal digit; the caller has checked that it is one.
[[nodiscard]] constexpr unsigned hex_value(char c) {
  return c <= '9' ? static_cast<unsigned>(c - '0') : static_cast<unsigned>((c | 0x20) - 'a' + 10);
}

}  // namespace gatehouse::wire
