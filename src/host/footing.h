// SPDX-License-Identifier: Apache-2.0
// Footing: what this host gives the house, found once, when it starts: the mode that it runs in,
// which ids are its own, and every layer and limit that is not enforced. docs/modes.md is the table
// for people.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gatehouse::host {

enum class Mode : std::uint8_t {
  kRoot,        // as root: each role and each user's sandboxes have uids of their own
  kSubUids,     // without root, the same, out of the user's range in /etc/subuid
  kSingleUser,  // without root and without a range: one uid for everything
  kContainer,   // where no sandbox can be built: everything but runs
};
[[nodiscard]] std::string_view text(Mode mode);  // "single-user"

// What a person may ask for by name, and nobody gets unasked.
struct Concessions {
  bool limits_best_effort = false;  // runs without limits that this host does not enforce
  bool no_landlock = false;         // a start without Landlock
};

struct Footing {
  Mode mode = Mode::kContainer;
  std::vector<std::string> not_enforced;  // in words
  std::string no_sandbox;  // why no run starts, and the exact setting to add; "" where they do
  std::string cgroups;     // as host/cgroup.h says
  std::uint32_t user = 0;  // whose house it is without root, outside: who acts as 0 here
  std::uint32_t first_role_uid = 0;  // 0: all have this process's
  std::uint32_t first_sandbox_uid = 0;
  std::uint32_t sandbox_uids = 0;
  Concessions concessions;

  [[nodiscard]] bool is_rootless() const {
    return mode == Mode::kSubUids || mode == Mode::kSingleUser;
  }
};

// Looks, and goes into the user namespace of a house without root. Call it before the process has
// threads. Errors: kUnsupported, where a layer is missing that was not conceded.
// `keeps_one_uid`: what the house has so far is of one user, so it stays in that mode.
[[nodiscard]] Result<Footing> take_footing(const Concessions& concessions, bool keeps_one_uid);

// For who opens a house's files themselves, as its user: where `folder`, a role's, belongs to an id
// of this process's range, the house is in the mode kSubUids, and this goes to where its user is
// root and all ids are as the house has them. Elsewhere nothing happens. Before the process has
// threads. Errors: kUnsupported.
[[nodiscard]] Result<void> enter_house_of(const std::string& folder);

// The same for files that are yet to be made, of which the vault's belong to `vault_uid` as their
// house has it. Without root and without a range they become their maker's, of a house with one
// uid. Errors: kUnsupported, and kDenied as root, whose house has no such ids.
[[nodiscard]] Result<void> enter_house_to_be(std::uint32_t vault_uid);

}  // namespace gatehouse::host
