// SPDX-License-Identifier: Apache-2.0
// The user namespace that a house without root lives in: there it is root, and does what root does,
// over what belongs to its user and to the user's ranges in /etc/subuid and /etc/subgid.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gatehouse::host {

struct IdRange {
  std::uint32_t inside = 0;
  std::uint32_t outside = 0;
  std::uint32_t count = 0;
  friend bool operator==(const IdRange&, const IdRange&) = default;
};
struct UserMap {
  std::vector<IdRange> users;
  std::vector<IdRange> groups;
};

// Of this process, which has just made its user namespace: one id each, its own. Groups cannot be
// set there from then on. Errors: the kernel's.
[[nodiscard]] Result<void> write_own_map(const UserMap& map);

// The range that a file like /etc/subuid gives to `name` or its number: the first of at least
// `least` ids. Pure.
[[nodiscard]] std::optional<IdRange> parse_subids(std::string_view subids, std::string_view name,
                                                  std::uint32_t id, std::uint32_t least);
inline constexpr std::uint32_t kRangeLeast = 1024;

// A map in which 0 is this process's user and what follows is its range of /etc/subuid and of
// /etc/subgid. Nothing without both, or without newuidmap(1), or where this is root.
[[nodiscard]] std::optional<UserMap> map_of_subids();

// Makes a user namespace with that map and a mount namespace, and goes into both: this process is
// root there, and nobody anew outside. By newuidmap(1) where the map has more than one range. Call
// it before the process has threads. Errors: kUnsupported.
[[nodiscard]] Result<void> enter_user_namespace(const UserMap& map);

// Whether the initial user namespace's root is root here, so that uid 0 is not to be handed on.
[[nodiscard]] bool is_root_outside();

}  // namespace gatehouse::host
