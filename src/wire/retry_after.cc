// SPDX-License-Identifier: Apache-2.0
#include "wire/retry_after.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <system_error>

#include "wire/http_date.h"

namespace gatehouse::wire {

std::optional<Nanos> retry_after(std::string_view field, Nanos most, WallTime now) {
  if (const auto date = http_date(field, now.unix_seconds())) {
    // A date of any year, of which the nanoseconds need not fit.
    const std::int64_t left_s = *date - now.unix_seconds();
    const std::int64_t most_s = std::chrono::ceil<std::chrono::seconds>(most).count();
    if (left_s <= 0) return std::nullopt;
    return std::min<Nanos>(std::chrono::seconds(std::min(left_s, most_s)), most);
  }
  std::uint32_t seconds = 0;
  const char* const end = field.data() + field.size();
  const auto read = std::from_chars(field.data(), end, seconds);
  if (read.ptr != end) return std::nullopt;
  if (read.ec == std::errc::result_out_of_range) return most;
  if (read.ec != std::errc() || seconds == 0) return std::nullopt;
  return std::min<Nanos>(std::chrono::seconds(seconds), most);
}

}  // namespace gatehouse::wire
