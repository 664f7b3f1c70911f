// SPDX-License-Identifier: Apache-2.0
// Agreement with simdjson: what one of the two accepts, the other does, but for what we refuse on
// purpose (depth, repeated keys) and numbers out of simdjson's range.
#include <simdjson.h>

#include <cstdlib>

#include "base/encoding.h"
#include "wire/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse;
  const std::string_view text = text_of({data, size});
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
