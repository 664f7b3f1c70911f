// SPDX-License-Identifier: Apache-2.0
// Values that stand in many places of what people write: each with its check and the message that
// says what is wrong with it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/config.h"
#include "control/yaml.h"

namespace gatehouse::control {

inline constexpr std::size_t kNameMost = 63;  // bytes

// Whether an object may be called that: lower-case letters, digits, "-", "_" and ".", at most
// kNameMost, beginning with a letter or digit.
[[nodiscard]] bool is_name(std::string_view text);
// A token of RFC 9110 section 5.6.2.
[[nodiscard]] bool is_token(std::string_view text);
// The name of an environment variable.
[[nodiscard]] bool is_variable(std::string_view text);
// Printable ASCII; "" is too.
[[nodiscard]] bool is_plain(std::string_view text);
// Whether a path has no segment that is empty, "." or "..".
[[nodiscard]] bool is_clean_path(std::string_view path);

// These report at `key` what is wrong; what is not there is "".
[[nodiscard]] std::string file_name(Section& section, std::string_view key);
// Printable, on one line, of at most 256 bytes.
[[nodiscard]] std::string line(Section& section, std::string_view key);
[[nodiscard]] std::string required_line(Section& section, std::string_view key);
// What is in the file that `key` names: PEM.
[[nodiscard]] std::string certificate(Section& section, std::string_view key,
                                      const ReadNamed& read);
// An address that tokens go to: https, or http where that is allowed.
[[nodiscard]] std::string endpoint(Section& section, std::string_view key, Need need,
                                   bool allow_private);
// Patterns of paths.
[[nodiscard]] std::vector<std::string> patterns(Section& section, std::string_view key);
// How long to wait for an upstream.
[[nodiscard]] Timeouts timeouts(Section& section, std::string_view key, Problems& problems);
// Words of OAuth (RFC 6749 section 3.3).
void check_scopes(Section& section, const std::vector<std::string>& scopes);

}  // namespace gatehouse::control
