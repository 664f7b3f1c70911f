// SPDX-License-Identifier: Apache-2.0
// Finding a text in a text where that is much of the work.
#pragma once

#include <cstring>
#include <string_view>

namespace gatehouse {

// As `text.contains(part)`, by memmem(3): it leaps over what cannot be a hit, where the standard
// library stops at each first character.
[[nodiscard]] inline bool is_in(std::string_view text, std::string_view part) {
  return memmem(text.data(), text.size(), part.data(), part.size()) != nullptr;
}

}  // namespace gatehouse
