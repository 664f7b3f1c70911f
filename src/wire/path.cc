// SPDX-License-Identifier: Apache-2.0
#include "wire/path.h"

#include <algorithm>

#include "base/encoding.h"
#include "wire/characters.h"

namespace gatehouse::wire {
namespace {

Failure bad(std::string_view path, std::string_view why) {
  return failure(Error::kInvalid,
                 "path '" + printable(path.substr(0, 100)) + "' " + std::string(why));
}

// One segment, decoded where that changes nothing for anybody.
Result<std::string> canonical_segment(std::string_view segment) {
  std::string out;
  for (std::size_t at = 0; at < segment.size(); ++at) {
    const char c = segment[at];
    if (c == '\\' || c == '?' || !is(kTargetChar, c)) {
      return bad(segment, "has a character that must be percent-encoded");
    }
    if (c != '%') {
      out += c;
      continue;
    }
    const std::string_view digits = segment.substr(at + 1, 2);
    if (digits.size() != 2 || !all_are(kHexChar, digits))
      return bad(segment, "has a broken escape");
    const auto value = static_cast<char>(hex_value(digits[0]) << 4 | hex_value(digits[1]));
    const auto byte = static_cast<unsigned char>(value);
    if (value == '/' || value == '\\' || value == '%' || byte < 0x20 || byte == 0x7f) {
      return bad(segment, "has an escape that servers read differently");
    }
    at += 2;
    if (is(kUnreserved, value)) {
      out += value;
    } else {
      constexpr std::string_view kDigits = "0123456789ABCDEF";
      out.append({'%', kDigits[byte >> 4], kDigits[byte & 15]});
    }
  }
  return out;
}

}  // namespace

Result<std::string> canonical_path(std::string_view path) {
  if (!path.starts_with('/')) return bad(path, "does not begin with '/'");
  std::string out;
  std::size_t at = 1;
  while (true) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const bool last = end == path.size();
    if (end == at && !last) return bad(path, "has an empty segment ('//')");
    const std::string segment = TRY(canonical_segment(path.substr(at, end - at)));
    if (segment.starts_with(".;") || segment.starts_with("..;")) {
      return bad(path, "has a parameter on a dot segment");
    }
    if (segment == "..") {
      if (out.empty()) return bad(path, "climbs above the root");
      out.resize(out.rfind('/'));
      if (last) out += '/';
    } else if (segment != ".") {
      out.append("/").append(segment);
    } else if (last) {
      out += '/';
    }
    if (last) return out;
    at = end + 1;
  }
}

// Linear in time: on a mismatch the last star takes one more character.
bool text_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::vector<std::string> segments_of(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find('/'), path.size());
    auto decoded = percent_decoded(path.substr(0, end));
    out.push_back(decoded ? *std::move(decoded) : std::string(path.substr(0, end)));
    path.remove_prefix(end);
  }
  return out;
}

std::vector<std::string> lenient_segments(std::span<const std::string> segments) {
  std::vector<std::string> out(segments.begin(), segments.end());
  while (!out.empty() && out.back().empty()) out.pop_back();
  for (std::string& segment : out) {
    segment.resize(std::min(segment.find(';'), segment.size()));
    segment = lowered(segment);
  }
  return out;
}

bool path_matches(std::string_view pattern, std::string_view path) {
  while (true) {
    if (pattern == "/**") return true;
    if (pattern.empty() || path.empty()) return pattern.empty() && path.empty();
    if (pattern[0] != '/' || path[0] != '/') return false;
    pattern.remove_prefix(1);
    path.remove_prefix(1);
    const std::size_t p = std::min(pattern.find('/'), pattern.size());
    const std::size_t t = std::min(path.find('/'), path.size());
    if (!text_matches(pattern.substr(0, p), path.substr(0, t))) return false;
    pattern.remove_prefix(p);
    path.remove_prefix(t);
  }
}

}  // namespace gatehouse::wire
