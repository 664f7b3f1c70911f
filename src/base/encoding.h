// SPDX-License-Identifier: Apache-2.0
// Text forms of bytes: hexadecimal, base64 (RFC 4648 sections 4 and 5), percent-encoding (RFC
// 3986).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gatehouse {

[[nodiscard]] std::span<const std::uint8_t> bytes_of(std::string_view text);
[[nodiscard]] std::string_view text_of(std::span<const std::uint8_t> bytes);

[[nodiscard]] std::string to_hex(std::span<const std::uint8_t> bytes);
[[nodiscard]] Result<std::string> from_hex(std::string_view hex);

[[nodiscard]] std::string to_base64(std::string_view bytes);
[[nodiscard]] Result<std::string> from_base64(std::string_view text);
// Without padding; from_base64url accepts it with or without.
[[nodiscard]] std::string to_base64url(std::string_view bytes);
[[nodiscard]] Result<std::string> from_base64url(std::string_view text);

// application/x-www-form-urlencoded of one name or value: unreserved characters stay, all else is
// %XX.
[[nodiscard]] std::string percent_encoded(std::string_view text);
// Errors: kInvalid on a broken escape.
[[nodiscard]] Result<std::string> percent_decoded(std::string_view text);

// Whether `text` is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, nothing above
// U+10FFFF).
[[nodiscard]] bool is_utf8(std::string_view text);

// `text` as a JSON string with its quotes; control characters escaped, malformed UTF-8 replaced by
// U+FFFD.
[[nodiscard]] std::string json_quoted(std::string_view text);
// How many bytes at the start stand for themselves in a JSON string: ASCII but controls, quotes and
// backslashes.
[[nodiscard]] std::size_t plain_json_prefix(std::string_view text);

// What may be shown on a terminal: control characters but newline and tab are written as \xNN.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace gatehouse
