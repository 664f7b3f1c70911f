// SPDX-License-Identifier: Apache-2.0
#include "wire/retry_after.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <system_error>

namespace gatehouse::wire {

std::optional<Nanos> retry_after(std::string_view field, Nanos most) {
  std::uint32_t seconds = 0;
  const char* const end = field.data() + field.size();
  const auto read = std::from_chars(field.data(), end, seconds);
  if (read.ptr != end) return std::nullopt;
  if (read.ec == std::errc::result_out_of_range) return most;
  if (read.ec != std::errc() || seconds == 0) return std::nullopt;
  return std::min<Nanos>(std::chrono::seconds(seconds), most);
}

}  // namespace gatehouse::wire
