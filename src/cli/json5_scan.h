// SPDX-License-Identifier: Apache-2.0
// JSON5 texts (spec.json5.org, as the npm package `json5` reads them) looked at in place: the tree
// of values with their byte ranges, so that an edit is spliced into the original bytes and
// comments, order and formatting stay. Comments, single quotes, unquoted keys and trailing commas
// are taken; what the grammar does not allow is an error with its line and column, which never
// quotes the text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gatehouse::cli {

inline constexpr std::size_t kJson5Most = 2 * 1024 * 1024;  // bytes
inline constexpr int kJson5DepthMost = 64;
inline constexpr std::size_t kJson5NodesMost = 50'000;

enum class Json5Type : std::uint8_t { kObject, kArray, kString, kOther };

struct Json5Node {
  static constexpr std::uint32_t kNone = UINT32_MAX;
  Json5Type type = Json5Type::kOther;
  std::uint32_t parent = kNone;
  std::size_t begin = 0;  // of the value, with its quotes
  std::size_t end = 0;
  // Of a member of an object: its key, with quotes if it has some. Empty ranges otherwise.
  std::size_t key_begin = 0;
  std::size_t key_end = 0;
  std::string key;  // decoded; of an array's element its index
};

// Every value of the text in the order in which it begins; the first is the whole. Errors: kInvalid
// with line and column, kTooLarge beyond the bounds above.
[[nodiscard]] Result<std::vector<Json5Node>> scan_json5(std::string_view text);

// What the token of a string, with its quotes, stands for; malformed surrogates become U+FFFD.
// Errors: kInvalid when it is no such token.
[[nodiscard]] Result<std::string> json5_string(std::string_view token);

struct TextPlace {
  std::size_t line = 1;
  std::size_t column = 1;  // in bytes, from 1
};
[[nodiscard]] TextPlace place_in(std::string_view text, std::size_t offset);

}  // namespace gatehouse::cli
