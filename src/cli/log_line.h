// SPDX-License-Identifier: Apache-2.0
// A line of the house's log (base/log.h), read back: for a bundle that may show some of it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gatehouse::cli {

struct LogLine {
  std::string time;
  std::string level;
  std::string role;
  std::string message;
  std::vector<std::pair<std::string, std::string>> fields;  // escapes as they were written
};

// Of either form. Nothing for what the log does not write.
[[nodiscard]] std::optional<LogLine> parse_log_line(std::string_view line);

// Whether a field's value is a number, a role or a time, which name nobody.
[[nodiscard]] bool says_nothing(std::string_view value);

}  // namespace gatehouse::cli
