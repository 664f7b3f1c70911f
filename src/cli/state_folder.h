// SPDX-License-Identifier: Apache-2.0
// What the command keeps for its person between calls: $XDG_STATE_HOME/gatehouse, else
// ~/.local/state/gatehouse. Files there are for their owner's eyes only (0600) and replaced whole.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gatehouse::cli {

// Errors: kNotFound where neither variable is set.
[[nodiscard]] Result<std::string> state_folder();
// With all above it, each 0700 where it was not there.
[[nodiscard]] Result<void> make_folders(const std::string& path);
// "" where there is none. Errors: kDenied, ending in `remedy`, when it is another's or others may
// read it; kTooLarge.
[[nodiscard]] Result<std::string> private_file_text(const std::string& path, std::size_t most,
                                                    std::string_view remedy);
// Durable when it returns; no reader sees half of it.
[[nodiscard]] Result<void> replace_private_file(const std::string& path, std::string_view text);
[[nodiscard]] Result<void> write_all(int fd, std::string_view text, std::string_view what);

}  // namespace gatehouse::cli
