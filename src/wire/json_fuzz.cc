// SPDX-License-Identifier: Apache-2.0
// Agreement with simdjson: what one of the two accepts, the other does, but for what we refuse on
// purpose (depth, repeated keys) and numbers out of simdjson's range. A text of which objects are
// known means what it means without.
#include <simdjson.h>

#include <cstdlib>

#include "base/encoding.h"
#include "wire/json.h"
#include "wire/known_json.h"

namespace {

using namespace gatehouse;

// Of a valid text, the objects that are elements of its members' arrays.
wire::KnownJson known_of(const wire::JsonObject& object) {
  wire::KnownJson known;
  for (const auto& member : object.members) {
    const auto elements = wire::scan_array(member.value.raw);
    for (const auto& element : elements.value_or(std::vector<wire::JsonValue>())) {
      if (element.is(wire::JsonType::kObject)) known.add(element.raw);
    }
  }
  return known;
}

void check_known(std::string_view text) {
  const auto object = wire::scan_object(text);
  if (!object) return;
  const wire::KnownJson known = known_of(*object);
  const auto again = wire::scan_object(text, known);
  if (!again || again->members.size() != object->members.size()) std::abort();
  for (std::size_t i = 0; i < object->members.size(); ++i) {
    const std::string_view raw = object->members[i].value.raw;
    if (again->members[i].value.raw != raw) std::abort();
    const auto without = wire::scan_array(raw);
    const auto with = wire::scan_array(raw, known);
    if (with.has_value() != without.has_value()) std::abort();
    if (with && with->size() != without->size()) std::abort();
  }
  // What stands behind is as wrong as it was.
  if (wire::scan_object(std::string(text) + "}", known)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = text_of({data, size});
  check_known(text);
  const auto ours = wire::scan_value(text);
  simdjson::dom::parser parser;
  const simdjson::padded_string padded(text);
  const auto theirs = parser.parse(padded).error();
  const bool out_of_range = theirs == simdjson::NUMBER_ERROR || theirs == simdjson::DEPTH_ERROR;
  if (ours && theirs != simdjson::SUCCESS && !out_of_range && theirs != simdjson::STRING_ERROR) {
    std::abort();
  }
  const bool has_bom = text.starts_with("\xef\xbb\xbf");
  if (!ours && ours.error() == Error::kInvalid && theirs == simdjson::SUCCESS && !has_bom) {
    std::abort();
  }
  if (const auto object = wire::scan_object(text, wire::Duplicates::kRejectEverywhere)) {
    for (const auto& member : object->members) (void)member.value.string();
  }
  return 0;
}
