// SPDX-License-Identifier: Apache-2.0
// Of A2A's JSON, what requests, answers and cards have in common. Its objects are protobuf's as
// JSON, and readers of those take other spellings of a key too.
#pragma once

#include <string>
#include <string_view>

#include "wire/json.h"

namespace gatehouse::wire {

// In lower case and without underscores: what a lenient reader could take for the same key.
[[nodiscard]] std::string folded_key(std::string_view key);
// The member whose key is that one, however it is spelled; null if none.
[[nodiscard]] const JsonValue* find_folded(const JsonObject& object, std::string_view key);

// The text parts of a message or an artifact, a line each.
void append_parts(std::string& out, const JsonObject& of);

}  // namespace gatehouse::wire
