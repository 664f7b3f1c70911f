// SPDX-License-Identifier: Apache-2.0
// Whether this build carries a sanitizer of the compiler's (the presets asan, tsan and fuzz). Such
// a build is for tests and is never installed: its runtime needs what an ordinary build refuses
// itself, and what it is given for that stands behind this name alone.
#pragma once

namespace gatehouse {

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace gatehouse
