// SPDX-License-Identifier: Apache-2.0
// The dates of HTTP's fields (RFC 9110 section 5.6.7).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace gatehouse::wire {

// Seconds of Unix time, of a date in any of the three formats that a recipient must accept. Of the
// two digits of a year in RFC 850's, that century is meant which is not more than 50 years ahead of
// `now_s`. Nothing for what is no date; the day of the week is not checked against it.
[[nodiscard]] std::optional<std::int64_t> http_date(std::string_view field, std::int64_t now_s);

}  // namespace gatehouse::wire
