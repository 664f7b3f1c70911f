// SPDX-License-Identifier: Apache-2.0
// .env files looked at in place, as the npm package `dotenv` and python-dotenv read them:
// NAME=VALUE lines, with `export ` before them or not, values bare or in quotes (", ', `), which
// may go over several lines. A line that is none of this is passed over, as those readers do.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gatehouse::cli {

inline constexpr std::size_t kDotenvMost = 1024 * 1024;  // bytes
inline constexpr std::size_t kDotenvLinesMost = 10'000;

// Views of the text.
struct DotenvEntry {
  std::string_view name;
  std::string_view value;  // without its quotes; escapes stay as they are written
  std::size_t begin = 0;   // of the value with its quotes, what an edit replaces
  std::size_t end = 0;
  char quote = '\0';
};

// In the order of the file. Errors: kTooLarge beyond the bounds above, kInvalid for a NUL, which no
// text has.
[[nodiscard]] Result<std::vector<DotenvEntry>> scan_dotenv(std::string_view text);

}  // namespace gatehouse::cli
