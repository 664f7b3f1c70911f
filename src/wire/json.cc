// SPDX-License-Identifier: Apache-2.0
#include "wire/json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <span>

#include "base/encoding.h"
#include "wire/characters.h"
#include "wire/known_json.h"

namespace gatehouse::wire {
namespace {

constexpr unsigned kNoCodePoint = 0x110000;
constexpr std::size_t kMembersUsual = 8;  // of an object: no memory is asked for in steps

void append_utf8(std::string& out, unsigned code) {
  const auto put = [&](unsigned byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

unsigned four_hex(std::string_view text) {
  unsigned value = 0;
  for (const char c : text.substr(0, 4)) value = value << 4 | hex_value(c);
  return value;
}

// The code point of the \u escape at `at` (after its 'u'), which moves behind it and its pair.
unsigned unescaped(std::string_view text, std::size_t& at) {
  const unsigned first = four_hex(text.substr(at));
  at += 4;
  if (first < 0xd800 || first > 0xdfff) return first;
  if (first > 0xdbff || !text.substr(at).starts_with("\\u")) return kNoCodePoint;
  const unsigned second = four_hex(text.substr(at + 2));
  if (second < 0xdc00 || second > 0xdfff) return kNoCodePoint;
  at += 6;
  return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
}

// `raw` is a valid JSON string with its quotes. `lone` becomes true at a lone surrogate.
std::string decoded(std::string_view raw, bool& lone) {
  const std::string_view text = raw.substr(1, raw.size() - 2);
  if (!text.contains('\\')) return std::string(text);
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at++];
    if (c != '\\') {
      out += c;
      continue;
    }
    const char kind = text[at++];
    switch (kind) {
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case 'u': {
        const unsigned code = unescaped(text, at);
        lone |= code == kNoCodePoint;
        append_utf8(out, code == kNoCodePoint ? 0xfffd : code);
        break;
      }
      default:
        out += kind;
    }
  }
  return out;
}

// The size of the well-formed UTF-8 sequence that begins `text` (RFC 3629), or 0.
std::size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned a = byte(0);
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  if (a >= 0xc2 && a <= 0xdf) return continues(1) ? 2 : 0;
  if (a >= 0xe0 && a <= 0xef) {
    const bool fits = (a != 0xe0 || byte(1) >= 0xa0) && (a != 0xed || byte(1) < 0xa0);
    return fits && continues(1) && continues(2) ? 3 : 0;
  }
  if (a >= 0xf0 && a <= 0xf4) {
    const bool fits = (a != 0xf0 || byte(1) >= 0x90) && (a != 0xf4 || byte(1) < 0x90);
    return fits && continues(1) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

// What a step finds wrong ends the scan: it says false, and why_ tells.
class Scanner {
 public:
  Scanner(std::string_view text, Duplicates duplicates, const KnownJson* known = nullptr)
      : text_(text), duplicates_(duplicates) {
    if (known != nullptr) known_ = known->objects();
  }

  // The whole text as one value; its members or elements are collected where asked for.
  Result<JsonValue> whole(std::vector<JsonMember>* members, std::vector<JsonValue>* elements) {
    JsonValue value;
    space();
    const bool is_whole = this->value(value, 0, members, elements) && ends();
    return is_whole ? Result<JsonValue>(value) : Failure(*std::move(why_));
  }

 private:
  [[gnu::cold]] bool wrong(std::string_view what, Error::Code code = Error::kInvalid) {
    why_.emplace(code, "JSON at byte " + std::to_string(at_) + ": " + std::string(what));
    return false;
  }
  bool ends() {
    space();
    return at_ == text_.size() || wrong("there is more after the value");
  }
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void space() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') ++at_;
  }
  bool take(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }

  bool value(JsonValue& found, int depth, std::vector<JsonMember>* members,
             std::vector<JsonValue>* elements) {
    if (depth >= kMaxJsonDepth) return wrong("is nested deeper than 64 levels", Error::kTooLarge);
    const std::size_t begin = at_;
    bool is_good = true;
    switch (peek()) {
      case '{':
        found.type = JsonType::kObject;
        if (depth <= kKnownDepth && depth > 0 && skip_known()) break;
        is_good = object(depth, members);
        break;
      case '[':
        found.type = JsonType::kArray;
        is_good = array(depth, elements);
        break;
      case '"':
        found.type = JsonType::kString;
        is_good = string();
        break;
      case 't':
      case 'f':
        found.type = JsonType::kBoolean;
        is_good = word(peek() == 't' ? "true" : "false");
        break;
      case 'n':
        found.type = JsonType::kNull;
        is_good = word("null");
        break;
      default:
        found.type = JsonType::kNumber;
        is_good = number();
    }
    found.raw = text_.substr(begin, at_ - begin);
    return is_good;
  }

  // What is known was valid where it stood: it is not looked into where it would be nested deeper.
  static constexpr int kKnownDepth = 2;
  bool skip_known() {
    const char* const here = text_.data() + at_;
    while (!known_.empty() && std::less<>()(known_.front().data(), here)) {
      known_ = known_.subspan(1);
    }
    if (known_.empty() || known_.front().data() != here) return false;
    if (known_.front().size() > text_.size() - at_) return false;
    at_ += known_.front().size();
    return true;
  }

  bool object(int depth, std::vector<JsonMember>* members) {
    std::vector<JsonMember> own;
    const bool check = duplicates_ == Duplicates::kRejectEverywhere;
    if (members == nullptr && check) members = &own;
    ++at_;
    space();
    if (take('}')) return true;
    while (true) {
      if (!member(depth, members)) return false;
      space();
      if (take('}')) break;
      if (!take(',')) return wrong("',' or '}' is expected");
      space();
    }
    return members == nullptr || unique(*members);
  }

  bool member(int depth, std::vector<JsonMember>* members) {
    const std::size_t key_at = at_;
    if (peek() != '"') return wrong("a key in quotes is expected");
    if (!string()) return false;
    const std::string_view key = text_.substr(key_at, at_ - key_at);
    space();
    if (!take(':')) return wrong("':' is expected");
    space();
    JsonValue found;
    if (!value(found, depth + 1, nullptr, nullptr)) return false;
    if (members == nullptr) return true;
    bool lone = false;
    if (members->empty()) members->reserve(kMembersUsual);
    members->push_back({decoded(key, lone), found});
    return !lone || wrong("a key has a lone surrogate");
  }

  bool unique(const std::vector<JsonMember>& members) {
    const auto twice = [this](std::string_view key) {
      return wrong("the object that ends here has the key '" + printable(key.substr(0, 64))
                   + "' twice");
    };
    if (members.size() <= kMembersUsual) {
      for (std::size_t i = 1; i < members.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
          if (members[i].key == members[j].key) return twice(members[i].key);
        }
      }
      return true;
    }
    std::vector<std::string_view> keys(members.size());
    std::ranges::transform(members, keys.begin(), &JsonMember::key);
    std::ranges::sort(keys);
    const auto twin = std::ranges::adjacent_find(keys);
    return twin == keys.end() || twice(*twin);
  }

  bool array(int depth, std::vector<JsonValue>* elements) {
    ++at_;
    space();
    if (take(']')) return true;
    while (true) {
      JsonValue found;
      if (!value(found, depth + 1, nullptr, nullptr)) return false;
      if (elements != nullptr) elements->push_back(found);
      space();
      if (take(']')) return true;
      if (!take(',')) return wrong("',' or ']' is expected");
      space();
    }
  }

  bool string() {
    ++at_;
    while (at_ < text_.size()) {
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') {
        ++at_;
        return true;
      }
      if (c == '\\') {
        if (!escape()) return false;
      } else if (c < 0x20) {
        return wrong("a control character in a string must be escaped");
      } else if (c < 0x80) {
        at_ += plain_json_prefix(text_.substr(at_));
      } else {
        const std::size_t size = utf8_sequence(text_.substr(at_, 4));
        if (size == 0) return wrong("is not UTF-8");
        at_ += size;
      }
    }
    return wrong("a string does not end");
  }

  bool escape() {
    ++at_;
    const char kind = peek();
    if (kind == 'u') {
      const std::string_view digits = text_.substr(at_ + 1, 4);
      if (digits.size() != 4 || !all_are(kHexChar, digits)) {
        return wrong("\\u needs four hex digits");
      }
      at_ += 5;
      return true;
    }
    if (kind == '\0' || !std::string_view("\"\\/bfnrt").contains(kind)) {
      return wrong("there is no such escape");
    }
    ++at_;
    return true;
  }

  bool word(std::string_view name) {
    if (!text_.substr(at_).starts_with(name)) return wrong("a value is expected");
    at_ += name.size();
    return true;
  }

  std::size_t digits() {
    const std::size_t begin = at_;
    while (is(kDigitChar, peek())) ++at_;
    return at_ - begin;
  }

  bool number() {
    take('-');
    const bool zero = peek() == '0';
    const std::size_t whole = digits();
    if (whole == 0) return wrong("a value is expected");
    if (zero && whole > 1) return wrong("a number has a leading zero");
    if (take('.') && digits() == 0) return wrong("a digit is expected");
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      if (digits() == 0) return wrong("a digit is expected");
    }
    return true;
  }

  std::string_view text_;
  Duplicates duplicates_;
  std::span<const std::string_view> known_;  // that may still come
  std::size_t at_ = 0;
  std::optional<Error> why_;
};

Result<JsonObject> object_of(Scanner scanner) {
  JsonObject object;
  const JsonValue value = TRY(scanner.whole(&object.members, nullptr));
  if (!value.is(JsonType::kObject)) return failure(Error::kInvalid, "JSON: an object is expected");
  object.raw = value.raw;
  return object;
}

Result<std::vector<JsonValue>> array_of(Scanner scanner, std::size_t usual = 0) {
  std::vector<JsonValue> elements;
  elements.reserve(usual);
  const JsonValue value = TRY(scanner.whole(nullptr, &elements));
  if (!value.is(JsonType::kArray)) return failure(Error::kInvalid, "JSON: an array is expected");
  return elements;
}

}  // namespace

std::optional<std::string> JsonValue::string() const {
  bool lone = false;
  return type == JsonType::kString ? std::optional(decoded(raw, lone)) : std::nullopt;
}

std::optional<std::int64_t> JsonValue::integer() const {
  if (type != JsonType::kNumber) return std::nullopt;
  std::int64_t value = 0;
  const char* const end = raw.data() + raw.size();
  const auto [at, fault] = std::from_chars(raw.data(), end, value);
  return fault == std::errc{} && at == end ? std::optional(value) : std::nullopt;
}

std::optional<bool> JsonValue::boolean() const {
  return type == JsonType::kBoolean ? std::optional(raw == "true") : std::nullopt;
}

const JsonValue* JsonObject::find(std::string_view key) const {
  const auto at = std::ranges::find(members, key, &JsonMember::key);
  return at == members.end() ? nullptr : &at->value;
}

std::optional<std::string> JsonObject::string(std::string_view key) const {
  const JsonValue* const value = find(key);
  return value == nullptr ? std::nullopt : value->string();
}

Result<JsonValue> scan_value(std::string_view text, Duplicates duplicates) {
  return Scanner(text, duplicates).whole(nullptr, nullptr);
}

Result<JsonObject> scan_object(std::string_view text, Duplicates duplicates) {
  return object_of(Scanner(text, duplicates));
}

Result<JsonObject> scan_object(std::string_view text, const KnownJson& known) {
  return object_of(Scanner(text, Duplicates::kRejectHere, &known));
}

Result<std::vector<JsonValue>> scan_array(std::string_view text) {
  return array_of(Scanner(text, Duplicates::kRejectHere));
}

Result<std::vector<JsonValue>> scan_array(std::string_view text, const KnownJson& known) {
  return array_of(Scanner(text, Duplicates::kRejectHere, &known), known.objects().size() + 1);
}

bool KnownJson::holds(const JsonValue& value) const {
  const auto at = std::ranges::lower_bound(objects_, value.raw.data(), std::less<>(),
                                           [](std::string_view object) { return object.data(); });
  return at != objects_.end() && at->data() == value.raw.data() && at->size() == value.raw.size();
}

void JsonWriter::separate() {
  if (needs_comma_) out_ += ',';
}
std::string edited(std::string_view text, const TextEdit& edit) {
  std::string out;
  out.reserve(text.size() + edit.by.size());
  out.append(text.substr(0, edit.at)).append(edit.by);
  return out.append(text.substr(edit.at + edit.size));
}

TextEdit replacing(std::string_view text, std::string_view part, std::string by) {
  return {static_cast<std::size_t>(part.data() - text.data()), part.size(), std::move(by)};
}

TextEdit with_member(std::string_view text, const JsonObject& object, std::string member) {
  if (!object.members.empty()) member += ',';
  return replacing(text, object.raw.substr(1, 0), std::move(member));
}

JsonWriter& JsonWriter::open(char c) {
  separate();
  out_ += c;
  needs_comma_ = false;
  return *this;
}
JsonWriter& JsonWriter::close(char c) {
  out_ += c;
  needs_comma_ = true;
  return *this;
}
JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  out_ += json_quoted(name);
  out_ += ':';
  needs_comma_ = false;
  return *this;
}
JsonWriter& JsonWriter::string(std::string_view value) { return raw(json_quoted(value)); }
JsonWriter& JsonWriter::raw(std::string_view json) {
  separate();
  out_ += json;
  needs_comma_ = true;
  return *this;
}

}  // namespace gatehouse::wire
