// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "base/time.h"

namespace gatehouse::wire {

// The seconds of a Retry-After field (RFC 9110 section 10.2.3), at most so many; nothing for 0, for
// a date, and for what is neither.
[[nodiscard]] std::optional<Nanos> retry_after(std::string_view field, Nanos most);

}  // namespace gatehouse::wire
