// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "base/time.h"

namespace gatehouse::wire {

// How long a Retry-After field (RFC 9110 section 10.2.3) says, at most so much: its seconds, or
// what is left until its date, by our own clock. Nothing for 0, for a date that is over, and for
// what is neither.
[[nodiscard]] std::optional<Nanos> retry_after(std::string_view field, Nanos most, WallTime now);

}  // namespace gatehouse::wire
