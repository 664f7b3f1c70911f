// SPDX-License-Identifier: Apache-2.0
// How a warden whose sandboxd has ended and a new sandboxd know each other for one house's. Each
// proves that it has the house's key, over two fresh numbers, so that neither hands anything to a
// stranger and nothing that was said can be said again:
//
//   sandboxd -> warden   N  its number
//   warden -> sandboxd   W  its number, HMAC-SHA-256(key, "warden" | both numbers)
//   sandboxd -> warden   S  HMAC-SHA-256(key, "sandboxd" | both numbers)
//
// Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/secret.h"

namespace gatehouse::sandbox {

inline constexpr std::size_t kHouseKeySize = 32;
inline constexpr std::size_t kNumberSize = 32;
inline constexpr std::size_t kProofSize = 32;

// The two fresh numbers of one meeting.
struct Meeting {
  std::string of_sandboxd;
  std::string of_warden;
};
[[nodiscard]] std::string fresh_number();

// `side` is "warden" or "sandboxd". The key has kHouseKeySize bytes.
[[nodiscard]] std::string proof_of(std::string_view side, const Secret& key,
                                   const Meeting& meeting);
// In constant time; false for numbers or keys of another size.
[[nodiscard]] bool is_proof(std::string_view said, std::string_view side, const Secret& key,
                            const Meeting& meeting);

}  // namespace gatehouse::sandbox
