// SPDX-License-Identifier: Apache-2.0
#include "cli/dotenv.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace gatehouse::cli {
namespace {

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'
         || c == '.' || c == '-';
}
bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::size_t after_blanks(std::string_view text, std::size_t at) {
  while (at < text.size() && is_blank(text[at])) ++at;
  return at;
}

// Where the text in quotes that begins at `at` ends, behind its last quote; nothing where it does
// not end.
std::optional<std::size_t> quoted_end(std::string_view text, std::size_t at) {
  const char quote = text[at];
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == quote) return i + 1;
    if (text[i] == '\\' && quote == '"') ++i;
  }
  return std::nullopt;
}

// The entry of the line that begins at `line`; nothing when it has none.
std::optional<DotenvEntry> entry_at(std::string_view text, std::size_t line, std::size_t line_end) {
  std::size_t at = after_blanks(text, line);
  if (text.substr(at).starts_with("export") && at + 6 < line_end && is_blank(text[at + 6])) {
    at = after_blanks(text, at + 6);
  }
  const std::size_t name = at;
  while (at < line_end && is_name(text[at])) ++at;
  DotenvEntry entry;
  entry.name = text.substr(name, at - name);
  at = after_blanks(text, at);
  if (entry.name.empty() || at >= line_end || text[at] != '=') return std::nullopt;
  at = std::min(after_blanks(text, at + 1), line_end);
  entry.begin = at;
  if (at < line_end && (text[at] == '"' || text[at] == '\'' || text[at] == '`')) {
    if (const auto end = quoted_end(text, at)) {
      entry.quote = text[at];
      entry.end = *end;
      entry.value = text.substr(at + 1, *end - at - 2);
      return entry;
    }
  }
  std::size_t end = line_end;
  for (std::size_t i = at; i < line_end; ++i) {  // a comment begins after a blank
    if (text[i] == '#' && (i == at || is_blank(text[i - 1]))) {
      end = i;
      break;
    }
  }
  while (end > at && (is_blank(text[end - 1]) || text[end - 1] == '\r')) --end;
  entry.end = end;
  entry.value = text.substr(at, end - at);
  return entry;
}

}  // namespace

Result<std::vector<DotenvEntry>> scan_dotenv(std::string_view text) {
  if (text.size() > kDotenvMost) {
    return failure(Error::kTooLarge, fmt::format("it has more than {} bytes", kDotenvMost));
  }
  if (text.contains('\0')) return failure(Error::kInvalid, "it holds a NUL and is no text");
  std::vector<DotenvEntry> entries;
  std::size_t lines = 0;
  std::size_t at = text.starts_with("\xef\xbb\xbf") ? 3 : 0;
  while (at < text.size()) {
    if (++lines > kDotenvLinesMost) {
      return failure(Error::kTooLarge, fmt::format("it has more than {} lines", kDotenvLinesMost));
    }
    const std::size_t line_end = std::min(text.find('\n', at), text.size());
    std::size_t next = line_end + 1;
    if (const auto entry = entry_at(text, at, line_end)) {
      entries.push_back(*entry);
      // What stands behind a closing quote is passed over with its line.
      if (entry->end > line_end) next = std::min(text.find('\n', entry->end), text.size()) + 1;
    }
    at = next;
  }
  return entries;
}

}  // namespace gatehouse::cli
