// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "base/check.h"
#include "cli/log_line.h"

// What is read back of a line stood in it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  const auto read = gatehouse::cli::parse_log_line(line);
  if (!read) return 0;
  CHECK(line.contains(read->time) && line.contains(read->level) && line.contains(read->role));
  for (const auto& [key, value] : read->fields) CHECK(line.contains(key) && line.contains(value));
  return 0;
}
