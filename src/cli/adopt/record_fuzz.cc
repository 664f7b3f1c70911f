// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "base/check.h"
#include "cli/adopt/record.h"

// What is read is written and read again as the same; and undoing by it on any text gives a text or
// an error.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse::cli::adopt;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto record = parse_record(text);
  if (!record) return 0;
  const PrivateText written = text_of(*record);
  const auto again = parse_record(written.view());
  CHECK(again && text_of(*again).view() == written.view());
  for (const ChangedFile& file : record->files) static_cast<void>(undone(file, text));
  return 0;
}
