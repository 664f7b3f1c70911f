// SPDX-License-Identifier: Apache-2.0
// Ids and encodings from hostile text: refused, or written again to what reads as the same. Hex and
// base64 in one way only; an id has one text.
#include "base/encoding.h"

#include <cstdint>

#include "base/check.h"
#include "base/id.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse;
  const std::string_view text = text_of({data, size});
  if (const auto run = RunId::parse(text)) CHECK(run->text() == text);
  (void)parse_id("run", text);
  if (const auto trace = TraceId::parse(text)) CHECK(TraceId::parse(trace->text()) == *trace);
  if (const auto bytes = from_hex(text)) CHECK(from_hex(to_hex(bytes_of(*bytes))) == *bytes);
  if (const auto bytes = from_base64(text)) CHECK(to_base64(*bytes) == text);
  if (const auto bytes = from_base64url(text))
    CHECK(from_base64url(to_base64url(*bytes)) == *bytes);
  if (const auto bytes = percent_decoded(text))
    CHECK(percent_decoded(percent_encoded(*bytes)) == *bytes);
  (void)printable(text);
  return 0;
}
