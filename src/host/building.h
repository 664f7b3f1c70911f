// SPDX-License-Identifier: Apache-2.0
// Whether sandboxes can be built here, found out by building what they stand on in a process that
// ends; and where not, which one setting is in the way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace gatehouse::host {

// What a sandbox is built of, in the order in which it is tried.
enum class Step : std::uint8_t {
  kUserNamespace,
  kMapping,
  kMounts,
  kNetwork,
  kNested,  // the sandbox's own user namespace, in which it owns nothing outside
  kProc,
};

struct Obstacle {
  Step step{};
  int why = 0;  // errno
};

// As root, or as root of a user namespace that is made first. Nothing where everything works. Call
// it before the process has threads.
[[nodiscard]] std::optional<Obstacle> try_building(bool in_user_namespace);

// What tells the causes of a refusal apart.
struct Signs {
  bool filtered = false;             // seccomp is in force on this process
  std::string user_namespaces_most;  // user.max_user_namespaces, "" where it cannot be read
  std::string unprivileged_userns;   // Debian's kernel.unprivileged_userns_clone
  std::string apparmor_restricts;    // kernel.apparmor_restrict_unprivileged_userns
  std::string apparmor_profile;      // "docker-default (enforce)", "" or "unconfined"
  bool proc_is_masked = false;       // something is mounted over parts of /proc
};
[[nodiscard]] Signs read_signs();

// One sentence: what is missing, and the exact setting to add. Pure.
[[nodiscard]] std::string remedy_for(const Obstacle& obstacle, const Signs& signs);

}  // namespace gatehouse::host
