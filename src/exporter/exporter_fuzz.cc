// SPDX-License-Identifier: Apache-2.0
// What leaves the house, from hostile bytes: an Entry becomes JSON or nothing, a line is one line
// within its bound; and what a collector says is read or passed over.
#include <cstdlib>

#include "exporter/access_line.h"
#include "exporter/delivery.h"
#include "exporter/span.h"
#include "wire/json.h"
#include "wire/retry_after.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (exporter::parse_export_response(bytes).rejected < 0) std::abort();
  constexpr gatehouse::Nanos kMost = std::chrono::minutes(5);
  constexpr WallTime kNow(1'764'230'400'000'000'000);
  const auto asked = wire::retry_after(bytes, kMost, kNow).value_or(kMost);
  if (asked > kMost || asked <= Nanos(0)) std::abort();
  const auto entry = audit::decode(bytes);
  if (!entry) return 0;
  if (const auto span = exporter::span_of(*entry)) {
    if (!wire::scan_object(*span, wire::Duplicates::kRejectEverywhere)) std::abort();
  }
  if (const auto line = exporter::access_line(*entry)) {
    if (line->size() > exporter::kLineMost || line->find('\n') != line->size() - 1) std::abort();
    if (!wire::scan_object(line->substr(0, line->size() - 1))) std::abort();
  }
  return 0;
}
