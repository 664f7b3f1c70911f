// SPDX-License-Identifier: Apache-2.0
// JSON texts (RFC 8259) looked at in place: one validating pass over the whole text, and the byte
// ranges of the members that rules are about, so that edits are spliced into the original bytes.
// Refused: anything the grammar does not allow, malformed UTF-8, more than 64 levels, and keys that
// two readers could take differently (repeated after decoding, or with a lone surrogate).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gatehouse::wire {

inline constexpr int kMaxJsonDepth = 64;

enum class JsonType : std::uint8_t { kObject, kArray, kString, kNumber, kBoolean, kNull };

// A value of a text that was scanned; a view of it.
struct JsonValue {
  JsonType type = JsonType::kNull;
  std::string_view raw;

  [[nodiscard]] bool is(JsonType kind) const { return type == kind; }
  // Of a string, decoded; a lone surrogate becomes U+FFFD. Nothing for other types.
  [[nodiscard]] std::optional<std::string> string() const;
  // Of a number without fraction and exponent that fits.
  [[nodiscard]] std::optional<std::int64_t> integer() const;
  [[nodiscard]] std::optional<bool> boolean() const;
};

struct JsonMember {
  std::string key;  // decoded
  JsonValue value;
};

struct JsonObject {
  std::string_view raw;  // from '{' to '}'
  std::vector<JsonMember> members;

  [[nodiscard]] const JsonValue* find(std::string_view key) const;
  // The decoded string member, if there is one.
  [[nodiscard]] std::optional<std::string> string(std::string_view key) const;
};

// How far repeated keys are looked for.
enum class Duplicates : std::uint8_t { kRejectHere, kRejectEverywhere };

// Errors: kInvalid, with the byte offset of what is wrong; kTooLarge for depth.
[[nodiscard]] Result<JsonValue> scan_value(std::string_view text,
                                           Duplicates duplicates = Duplicates::kRejectHere);
// Errors: kInvalid also when the text is not an object or two of its keys are equal once decoded.
[[nodiscard]] Result<JsonObject> scan_object(std::string_view text,
                                             Duplicates duplicates = Duplicates::kRejectHere);
[[nodiscard]] Result<std::vector<JsonValue>> scan_array(std::string_view text);

// Of a text, `size` bytes at `at` that are replaced.
struct TextEdit {
  std::size_t at = 0;
  std::size_t size = 0;
  std::string by;
};
[[nodiscard]] std::string edited(std::string_view text, const TextEdit& edit);
// That `part`, a view of `text`, becomes `by`.
[[nodiscard]] TextEdit replacing(std::string_view text, std::string_view part, std::string by);
// That an object of `text` has `member` ("key":value) before those that it has.
[[nodiscard]] TextEdit with_member(std::string_view text, const JsonObject& object,
                                   std::string member);

// Appends; commas are its own. Bytes in strings that are not UTF-8 become U+FFFD.
class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name);
  JsonWriter& string(std::string_view value);
  JsonWriter& integer(std::int64_t value) { return raw(std::to_string(value)); }
  JsonWriter& boolean(bool value) { return raw(value ? "true" : "false"); }
  JsonWriter& null() { return raw("null"); }
  // A JSON text that the caller vouches for.
  JsonWriter& raw(std::string_view json);

  [[nodiscard]] const std::string& text() const& { return out_; }
  [[nodiscard]] std::string text() && { return std::move(out_); }

 private:
  JsonWriter& open(char c);
  JsonWriter& close(char c);
  void separate();
  std::string out_;
  bool needs_comma_ = false;
};

}  // namespace gatehouse::wire
