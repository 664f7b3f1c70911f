// SPDX-License-Identifier: Apache-2.0
#include "wire/a2a_json.h"

#include <algorithm>

#include "wire/characters.h"

namespace gatehouse::wire {

std::string folded_key(std::string_view key) {
  std::string out = lowered(key);
  std::erase(out, '_');
  return out;
}

const JsonValue* find_folded(const JsonObject& object, std::string_view key) {
  const std::string wanted = folded_key(key);
  const auto found = std::ranges::find_if(
      object.members, [&](const JsonMember& member) { return folded_key(member.key) == wanted; });
  return found == object.members.end() ? nullptr : &found->value;
}

void append_parts(std::string& out, const JsonObject& of) {
  const JsonValue* parts = find_folded(of, "parts");
  if (parts == nullptr) parts = find_folded(of, "content");  // a message of 0.3's HTTP+JSON
  if (parts == nullptr || !parts->is(JsonType::kArray)) return;
  const auto list = scan_array(parts->raw);
  if (!list) return;
  for (const JsonValue& part : *list) {
    if (!part.is(JsonType::kObject)) continue;
    const auto object = scan_object(part.raw);
    const auto text = object ? object->string("text") : std::nullopt;
    if (!text) continue;
    if (!out.empty()) out += '\n';
    out += *text;
  }
}

}  // namespace gatehouse::wire
