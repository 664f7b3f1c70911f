// SPDX-License-Identifier: Apache-2.0
// The path of a request as rules see it. What is matched is what is sent: a caller that rules on a
// canonical path sends that path, not the one it received.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gatehouse::wire {

// `path` (without query) with escapes of unreserved characters decoded, the hex digits of the
// others in upper case, and dot segments resolved (RFC 3986 section 6.2.2). Errors: kInvalid for
// what servers disagree on: an empty segment (`//`), a backslash, an escaped slash, backslash,
// percent sign, NUL or other control, a broken escape, a path parameter on a dot segment
// (`/..;x/`), and dot segments that climb above the root.
[[nodiscard]] Result<std::string> canonical_path(std::string_view path);

// What lies between the slashes of a canonical path, decoded: it hides no slash in an escape.
[[nodiscard]] std::vector<std::string> segments_of(std::string_view path);
// The same as a lenient server could take it: in lower case, without path parameters or a slash at
// the end.
[[nodiscard]] std::vector<std::string> lenient_segments(std::span<const std::string> segments);

// `pattern` has segments: `*` within one stands for any run of characters but '/'; a last segment
// `**` for any rest, also none. Everything else is literal. `path` is canonical.
[[nodiscard]] bool path_matches(std::string_view pattern, std::string_view path);

// The same without segments: each `*` stands for any run of characters. Linear in time.
[[nodiscard]] bool text_matches(std::string_view pattern, std::string_view text);

}  // namespace gatehouse::wire
