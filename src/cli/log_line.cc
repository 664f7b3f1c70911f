// SPDX-License-Identifier: Apache-2.0
#include "cli/log_line.h"

#include <algorithm>
#include <array>

#include "wire/json.h"

namespace gatehouse::cli {
namespace {

constexpr std::size_t kNumberMost = 10;  // digits: a count or a pid, and no credential
constexpr auto kRoles =
    std::to_array<std::string_view>({"supervisor", "audit", "vault", "courier", "exporter",
                                     "gateway", "control", "sandboxd", "warden"});

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool is_role(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot != std::string_view::npos
      && !(is_digits(text.substr(dot + 1)) && text.size() - dot <= 4)) {
    return false;
  }
  const std::string_view role = text.substr(0, dot);
  return std::find(kRoles.begin(), kRoles.end(), role) != kRoles.end();
}

bool is_time(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00.000Z";
  if (text.size() != kShape.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool fits = kShape[i] == '0' ? is_digits(text.substr(i, 1)) : text[i] == kShape[i];
    if (!fits) return false;
  }
  return true;
}

bool is_level(std::string_view text) {
  return text == "debug" || text == "info" || text == "warning" || text == "error";
}

bool is_key(std::string_view text) {
  return !text.empty()
         && text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string_view::npos;
}

// Words of a sentence; a message holds nothing that varies.
bool is_message(std::string_view text) {
  return !text.empty() && text.size() < 200
         && text.find_first_of("\"\\=/@") == std::string_view::npos;
}

bool is_sound(const LogLine& line) {
  return is_time(line.time) && is_level(line.level) && is_role(line.role)
         && is_message(line.message)
         && std::all_of(line.fields.begin(), line.fields.end(),
                        [](const auto& field) { return is_key(field.first); });
}

std::string_view word(std::string_view& rest) {
  const std::size_t end = std::min(rest.find(' '), rest.size());
  const std::string_view out = rest.substr(0, end);
  rest.remove_prefix(end);
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  return out;
}

// Where a JSON string that begins at 0 ends, behind its quote; 0: it does not.
std::size_t end_of_string(std::string_view text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      return i + 1;
  }
  return 0;
}

std::optional<LogLine> parse_text(std::string_view rest) {
  LogLine line;
  line.time = word(rest);
  line.level = word(rest);
  line.role = word(rest);
  while (!rest.empty()) {
    const std::size_t equals = rest.find('=');
    if (const std::size_t space = rest.find(' ');
        equals == std::string_view::npos || space < equals) {
      line.message += (line.message.empty() ? "" : " ") + std::string(word(rest));
      if (!line.fields.empty()) return std::nullopt;
      continue;
    }
    const std::string key(rest.substr(0, equals));
    rest.remove_prefix(equals + 1);
    const std::size_t end =
        rest.starts_with('"') ? end_of_string(rest) : std::min(rest.find(' '), rest.size());
    line.fields.emplace_back(key, rest.substr(0, end));
    if (end == 0) return std::nullopt;
    rest.remove_prefix(end);
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  }
  return line;
}

// One flat object of strings, as the log writes it.
std::optional<LogLine> parse_json(std::string_view rest) {
  LogLine line;
  rest.remove_prefix(1);
  while (rest.starts_with('"')) {
    const std::size_t key_end = end_of_string(rest);
    if (key_end == 0 || !rest.substr(key_end).starts_with(":\"")) return std::nullopt;
    const std::string key(rest.substr(1, key_end - 2));
    rest.remove_prefix(key_end + 1);
    const std::size_t end = end_of_string(rest);
    if (end == 0) return std::nullopt;
    std::string value(rest.substr(1, end - 2));
    rest.remove_prefix(end);
    if (rest.starts_with(',')) rest.remove_prefix(1);
    if (key == "time")
      line.time = std::move(value);
    else if (key == "level")
      line.level = std::move(value);
    else if (key == "role")
      line.role = std::move(value);
    else if (key == "message")
      line.message = std::move(value);
    else
      line.fields.emplace_back(key, std::move(value));
  }
  if (rest != "}") return std::nullopt;
  return line;
}

}  // namespace

std::optional<LogLine> parse_log_line(std::string_view line) {
  auto read = line.starts_with('{') ? parse_json(line) : parse_text(line);
  if (!read || !is_sound(*read)) return std::nullopt;
  return read;
}

bool says_nothing(std::string_view value) {
  return value.empty() || (is_digits(value) && value.size() <= kNumberMost) || is_role(value)
         || is_time(value);
}

}  // namespace gatehouse::cli
