// SPDX-License-Identifier: Apache-2.0
// Versions of what lies on disk. A file begins with a magic whose last character is its version, a
// digit; a file of a later version is refused in the same words everywhere, and left as it is.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace gatehouse {

// The refusal (kUnsupported) of `what`, which is of version `found` where `known` is the latest
// that this program reads.
[[nodiscard]] Failure newer_format(std::string_view what, std::uint64_t found, std::uint64_t known);

// The version of a file that begins like `magic` but for a greater digit at its end; else 0.
[[nodiscard]] std::uint64_t later_version(std::string_view bytes, std::string_view magic);

}  // namespace gatehouse
