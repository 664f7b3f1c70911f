// SPDX-License-Identifier: Apache-2.0
#include "cli/json5_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/encoding.h"

namespace gatehouse::cli {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}
std::uint32_t hex_value(std::string_view digits) {
  std::uint32_t value = 0;
  for (const char c : digits) {
    const auto digit = static_cast<std::uint32_t>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    value = value * 16 + digit;
  }
  return value;
}

void append_utf8(std::string& out, std::uint32_t point) {
  if (point >= 0xd800 && point <= 0xdfff) point = 0xfffd;
  if (point < 0x80) {
    out += static_cast<char>(point);
    return;
  }
  const auto tail = [&](unsigned shift) {
    out += static_cast<char>(0x80 | ((point >> shift) & 0x3f));
  };
  if (point < 0x800) {
    out += static_cast<char>(0xc0 | (point >> 6));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xe0 | (point >> 12));
    tail(6);
  } else {
    out += static_cast<char>(0xf0 | (point >> 18));
    tail(12);
    tail(6);
  }
  tail(0);
}

// White space of the grammar beyond ASCII: its length in UTF-8, 0 for none.
std::size_t wide_space(std::string_view rest) {
  if (rest.starts_with("\xc2\xa0")) return 2;
  for (const std::string_view space :
       {"\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbb\xbf", "\xe1\x9a\x80", "\xe2\x80\xaf",
        "\xe2\x81\x9f", "\xe3\x80\x80"}) {
    if (rest.starts_with(space)) return 3;
  }
  const bool is_in_block = rest.size() >= 3 && rest.starts_with("\xe2\x80");
  return is_in_block && static_cast<unsigned char>(rest[2]) >= 0x80
                 && static_cast<unsigned char>(rest[2]) <= 0x8a
             ? 3
             : 0;
}

// The characters of one escape sequence, `rest` beginning after the backslash; 0 where it is none.
std::size_t escape_length(std::string_view rest) {
  if (rest.empty()) return 0;
  const auto are_hex = [&](std::size_t count) {
    return rest.size() > count
           && std::all_of(rest.begin() + 1, rest.begin() + 1 + static_cast<std::ptrdiff_t>(count),
                          is_hex);
  };
  if (rest[0] == 'x') return are_hex(2) ? 3 : 0;
  if (rest[0] == 'u') return are_hex(4) ? 5 : 0;
  if (rest[0] == '0') return rest.size() > 1 && is_digit(rest[1]) ? 0 : 1;
  if (is_digit(rest[0])) return 0;
  if (rest.starts_with("\r\n")) return 2;
  if (rest.starts_with("\xe2\x80\xa8") || rest.starts_with("\xe2\x80\xa9")) return 3;
  return 1;
}

char plain_escape(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    case '0':
      return '\0';
    default:
      return c;
  }
}

// Decodes one escape at the start of `rest` (after its backslash), and a low surrogate that
// follows.
std::size_t append_escape(std::string& out, std::string_view rest) {
  const std::size_t length = escape_length(rest);
  if (length == 0) return 0;
  if (rest[0] == 'x') {
    append_utf8(out, hex_value(rest.substr(1, 2)));
  } else if (rest[0] == 'u') {
    std::uint32_t point = hex_value(rest.substr(1, 4));
    const std::string_view next = rest.substr(length);
    if (point >= 0xd800 && point < 0xdc00 && next.starts_with("\\u")
        && escape_length(next.substr(1)) == 5) {
      const std::uint32_t low = hex_value(next.substr(2, 4));
      if (low >= 0xdc00 && low < 0xe000) {
        append_utf8(out, 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00));
        return length + 6;
      }
    }
    append_utf8(out, point);
  } else if (length == 1 && rest[0] != '\n' && rest[0] != '\r') {
    out += plain_escape(rest[0]);
  }  // else a line that goes on: nothing stands for it
  return length;
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  Result<std::vector<Json5Node>> tree() {
    if (text_.size() > kJson5Most) {
      return failure(Error::kTooLarge, fmt::format("it has more than {} bytes", kJson5Most));
    }
    if (!is_utf8(text_)) return failure(Error::kInvalid, "it is not UTF-8 text");
    TRY(value(Json5Node::kNone, 0, 0, ""));
    while (!open_.empty()) TRY(inside());
    TRY(skip());
    if (at_ != text_.size()) return wrong("the text should end here");
    return std::move(nodes_);
  }

 private:
  Failure wrong(std::string_view what) const {
    const TextPlace place = place_in(text_, at_);
    return failure(Error::kInvalid,
                   fmt::format("line {}, column {}: {}", place.line, place.column, what));
  }
  [[nodiscard]] std::string_view rest() const { return text_.substr(at_); }
  [[nodiscard]] char now() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  Result<void> skip() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == ' ' || (c >= '\t' && c <= '\r')) {
        ++at_;
      } else if (const std::size_t wide = wide_space(rest()); wide != 0) {
        at_ += wide;
      } else if (rest().starts_with("//")) {
        at_ = std::min(text_.find_first_of("\n\r", at_), text_.size());
      } else if (rest().starts_with("/*")) {
        const std::size_t end = text_.find("*/", at_ + 2);
        if (end == std::string_view::npos) return wrong("this comment does not end");
        at_ = end + 2;
      } else {
        break;
      }
    }
    return {};
  }

  // Between the brackets of what was opened last: one member or element, or the end.
  Result<void> inside() {
    const std::uint32_t in = open_.back();
    const bool is_object = nodes_[in].type == Json5Type::kObject;
    const char closing = is_object ? '}' : ']';
    TRY(skip());
    if (after_value_) {
      if (now() == ',') {
        ++at_;
        after_value_ = false;
        TRY(skip());
      } else if (now() != closing) {
        return wrong(fmt::format("a comma or {} should stand here", closing));
      }
    }
    if (now() == closing && at_ < text_.size()) {
      nodes_[in].end = ++at_;
      open_.pop_back();
      counts_.pop_back();
      after_value_ = true;
      return {};
    }
    if (!is_object) return value(in, 0, 0, std::to_string(counts_.back()++));
    const std::size_t begin = at_;
    std::string name = TRY(key());
    const std::size_t end = at_;
    TRY(skip());
    if (now() != ':') return wrong("a colon should stand after the key");
    ++at_;
    return value(in, begin, end, std::move(name));
  }

  Result<void> value(std::uint32_t parent, std::size_t key_begin, std::size_t key_end,
                     std::string key) {
    TRY(skip());
    if (nodes_.size() == kJson5NodesMost) {
      return failure(Error::kTooLarge, fmt::format("it has more than {} values", kJson5NodesMost));
    }
    Json5Node node{Json5Type::kOther, parent, at_, at_, key_begin, key_end, std::move(key)};
    const char c = now();
    after_value_ = true;
    if (c == '{' || c == '[') {
      if (open_.size() == kJson5DepthMost) {
        return failure(Error::kTooLarge,
                       fmt::format("it is nested deeper than {}", kJson5DepthMost));
      }
      ++at_;
      node.type = c == '{' ? Json5Type::kObject : Json5Type::kArray;
      open_.push_back(static_cast<std::uint32_t>(nodes_.size()));
      counts_.push_back(0);
      after_value_ = false;
    } else if (c == '"' || c == '\'') {
      TRY(string());
      node.type = Json5Type::kString;
    } else {
      TRY(word_or_number());
    }
    node.end = at_;
    nodes_.push_back(std::move(node));
    return {};
  }

  Result<void> string() {
    const std::size_t begin = at_;
    const char quote = text_[at_++];
    while (at_ < text_.size() && text_[at_] != quote) {
      const char c = text_[at_++];
      if (c == '\n' || c == '\r') {
        at_ = begin;
        return wrong("this text does not end on its line");
      }
      if (c != '\\') continue;
      const std::size_t length = escape_length(rest());
      if (length == 0) return wrong("this is no escape sequence");
      at_ += length;
    }
    if (at_ == text_.size()) {
      at_ = begin;
      return wrong("this text does not end");
    }
    ++at_;
    return {};
  }

  Result<std::string> key() {
    if (now() == '"' || now() == '\'') {
      const std::size_t begin = at_;
      TRY(string());
      return json5_string(text_.substr(begin, at_ - begin));
    }
    std::string name;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool is_wide = static_cast<unsigned char>(c) >= 0x80 && wide_space(rest()) == 0;
      if (is_letter(c) || is_wide || (!name.empty() && is_digit(c))) {
        name += c;
        ++at_;
      } else if (rest().starts_with("\\u") && escape_length(rest().substr(1)) == 5) {
        at_ += 1 + append_escape(name, rest().substr(1));
      } else {
        break;
      }
    }
    if (name.empty()) return wrong("a key should stand here");
    return name;
  }

  void digits() {
    while (is_digit(now())) ++at_;
  }

  Result<void> number() {
    if (rest().starts_with("0x") || rest().starts_with("0X")) {
      at_ += 2;
      const std::size_t begin = at_;
      while (is_hex(now())) ++at_;
      if (at_ == begin) return wrong("a hexadecimal digit should stand here");
      return {};
    }
    const std::size_t begin = at_;
    const bool is_zero = now() == '0';
    digits();
    std::size_t count = at_ - begin;
    if (is_zero && count > 1) return wrong("a number does not begin with 0");
    if (now() == '.') {
      ++at_;
      digits();
      count = at_ - begin - 1;
    }
    if (count == 0) return wrong("a value should stand here");
    if (now() != 'e' && now() != 'E') return {};
    ++at_;
    if (now() == '+' || now() == '-') ++at_;
    if (!is_digit(now())) return wrong("an exponent should stand here");
    digits();
    return {};
  }

  Result<void> word_or_number() {
    const std::size_t begin = at_;
    if (now() == '+' || now() == '-') ++at_;
    const bool is_signed = at_ != begin;
    if (is_digit(now()) || now() == '.') {
      TRY(number());
    } else {
      while (is_letter(now())) ++at_;
      const std::string_view word = text_.substr(begin, at_ - begin).substr(is_signed ? 1 : 0);
      const bool is_word = word == "Infinity" || word == "NaN"
                           || (!is_signed && (word == "true" || word == "false" || word == "null"));
      if (!is_word) {
        at_ = begin;
        return wrong("a value should stand here");
      }
    }
    if (is_letter(now()) || is_digit(now())) return wrong("this value does not end");
    return {};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<Json5Node> nodes_;
  std::vector<std::uint32_t> open_;
  std::vector<std::size_t> counts_;  // elements so far of each that is open
  bool after_value_ = false;
};

}  // namespace

Result<std::vector<Json5Node>> scan_json5(std::string_view text) { return Scanner(text).tree(); }

Result<std::string> json5_string(std::string_view token) {
  const auto bad = [] { return failure(Error::kInvalid, "this is no JSON5 string"); };
  if (token.size() < 2 || (token[0] != '"' && token[0] != '\'') || token.back() != token[0]) {
    return bad();
  }
  const std::string_view inner = token.substr(1, token.size() - 2);
  std::string out;
  out.reserve(inner.size());
  for (std::size_t at = 0; at < inner.size();) {
    if (inner[at] == token[0]) return bad();
    if (inner[at] != '\\') {
      out += inner[at++];
      continue;
    }
    const std::size_t length = append_escape(out, inner.substr(at + 1));
    if (length == 0) return bad();
    at += 1 + length;
  }
  return out;
}

TextPlace place_in(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const std::size_t newline = before.rfind('\n');
  return {1 + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')),
          before.size() - (newline == std::string_view::npos ? 0 : newline + 1) + 1};
}

}  // namespace gatehouse::cli
