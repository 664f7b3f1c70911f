// SPDX-License-Identifier: Apache-2.0
#include "host/footing.h"

#include <fmt/format.h>
#include <linux/landlock.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "base/id.h"
#include "host/building.h"
#include "host/cgroup.h"
#include "host/user_namespace.h"

namespace gatehouse::host {
namespace {

// In root mode each role has a uid of its own, in a range that Debian leaves to the administrator
// (below 60000, above what adduser gives out).
constexpr std::uint32_t kRootRoles = 58'100;
constexpr std::uint32_t kRootSandboxes = 1'000'000;  // far above people's and subuid's ranges
constexpr std::uint32_t kRootSandboxUids = 60'000;
// In a user namespace, inside its map.
constexpr std::uint32_t kSubRoles = 1;
constexpr std::uint32_t kSubSandboxes = 100;

bool may_administer() {
  const std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)> own(cap_get_proc(), cap_free);
  cap_flag_value_t value = CAP_CLEAR;
  return own && cap_get_flag(own.get(), CAP_SYS_ADMIN, CAP_EFFECTIVE, &value) == 0
         && value == CAP_SET;
}

Result<void> look_for_landlock(Footing& footing) {
  const long abi =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi >= 1) return {};
  const std::string why = std::strerror(errno);
  if (!footing.concessions.no_landlock) {
    return failure(
        Error::kUnsupported,
        fmt::format("Landlock is not in force here ({}), so a role that is captured "
                    "could reach every file that its uid can. Use a kernel with "
                    "CONFIG_SECURITY_LANDLOCK and lsm=landlock, in a container a seccomp "
                    "profile that lets landlock_create_ruleset through; or start without "
                    "it, by `gatehouse up --allow-no-landlock`",
                    why));
  }
  footing.not_enforced.push_back(
      fmt::format("Landlock: not there ({}); files are kept apart by uids and mounts alone", why));
  return {};
}

void find_mode(Footing& footing) {
  const bool root = geteuid() == 0;
  const bool as_root = root && may_administer();
  if (const auto obstacle = try_building(!as_root)) {
    footing.no_sandbox = remedy_for(*obstacle, read_signs());
  } else if (root && !as_root) {
    footing.no_sandbox =
        "no sandbox can be built here, so no run starts: this is root without CAP_SYS_ADMIN, whose "
        "uid is never handed on to an agent. Add: docker, podman: --user 1000:1000, for another "
        "user; Kubernetes: securityContext.runAsUser: 1000";
  } else {
    footing.mode = as_root ? Mode::kRoot : Mode::kSingleUser;
  }
}

// What makes a sandbox's network.
void look_for_tools(Footing& footing) {
  for (const char* tool : {"/usr/sbin/ip", "/usr/sbin/nft"}) {
    if (access(tool, X_OK) == 0 || !footing.no_sandbox.empty()) continue;
    footing.no_sandbox = fmt::format(
        "no sandbox can be made here, so no run starts: {} is missing. Add: apt-get install "
        "iproute2 nftables",
        tool);
  }
}

void name_what_one_uid_means(Footing& footing) {
  footing.not_enforced.push_back(
      footing.mode == Mode::kSingleUser
          ? fmt::format("a uid of its own for each role and each sandbox: all have yours ({}), and "
                        "are kept apart by namespaces, Landlock and seccomp alone. Install uidmap, "
                        "and have a range of ids for you in /etc/subuid and /etc/subgid before the "
                        "first start of a house",
                        geteuid())
          : fmt::format(
                "a uid of its own for each role: all have yours ({}), and are kept apart by "
                "Landlock and seccomp alone. Start it as root of the container",
                geteuid()));
  if (getgroups(0, nullptr) > 0) {
    footing.not_enforced.emplace_back(
        "leaving your groups: roles and sandboxes keep your supplementary groups, which nothing "
        "without root can give up");
  }
}

void give_ids(Footing& footing, const std::optional<UserMap>& map) {
  if (footing.mode == Mode::kSingleUser) {
    footing.sandbox_uids = 1;
  } else if (footing.mode == Mode::kSubUids) {
    footing.first_role_uid = kSubRoles;
    footing.first_sandbox_uid = kSubSandboxes;
    footing.sandbox_uids = map->users.back().count - kSubSandboxes;
  } else if (geteuid() == 0) {
    footing.first_role_uid = kRootRoles;
    footing.first_sandbox_uid = kRootSandboxes;
    footing.sandbox_uids = kRootSandboxUids;
  }
}

Result<void> look_for_limits(Footing& footing) {
  footing.cgroups = footing.mode == Mode::kRoot ? kRootCgroups : delegated_cgroups();
  const auto trial =
      TRY(Cgroup::make(footing.cgroups, "trial-" + RunId::fresh().text(), {1 << 20, 1}));
  for (std::string& missing : trial->not_enforced()) {
    footing.not_enforced.push_back(std::move(missing));
  }
  if (!trial->is_whole() && !footing.concessions.limits_best_effort) {
    footing.no_sandbox = limits_refusal(trial->not_enforced());
  }
  return {};
}

}  // namespace

std::string_view text(Mode mode) {
  switch (mode) {
    case Mode::kRoot:
      return "root";
    case Mode::kSubUids:
      return "sub-uids";
    case Mode::kSingleUser:
      return "single-user";
    case Mode::kContainer:
      return "container";
  }
  return "?";
}

Result<Footing> take_footing(const Concessions& concessions, bool keeps_one_uid) {
  Footing footing;
  footing.concessions = concessions;
  footing.user = geteuid();
  TRY(look_for_landlock(footing));
  find_mode(footing);
  std::optional<UserMap> map;
  if (footing.mode == Mode::kSingleUser && !keeps_one_uid) {
    map = map_of_subids();
    if (map) footing.mode = Mode::kSubUids;
  }
  const bool one_uid = geteuid() != 0 && footing.mode != Mode::kSubUids;
  if (one_uid) name_what_one_uid_means(footing);
  if (footing.mode != Mode::kContainer) TRY(look_for_limits(footing));
  look_for_tools(footing);
  give_ids(footing, map);
  if (!footing.is_rootless()) return footing;
  const UserMap own{{{0, geteuid(), 1}}, {{0, getegid(), 1}}};
  TRY(enter_user_namespace(map.value_or(own)));
  return footing;
}

Result<void> enter_house_of(const std::string& folder) {
  struct stat about{};
  if (geteuid() == 0 || stat(folder.c_str(), &about) != 0) return {};
  const auto map = map_of_subids();
  if (!map) return {};
  const IdRange& range = map->users.back();
  if (about.st_uid < range.outside || about.st_uid - range.outside >= range.count) return {};
  return enter_user_namespace(*map);
}

Result<void> enter_house_to_be(std::uint32_t vault_uid) {
  if (vault_uid < kSubRoles || vault_uid >= kSubSandboxes) return {};
  if (geteuid() == 0) {
    return failure(
        Error::kDenied,
        "what is restored is of a house without root, whose roles have ids of its user's "
        "range in /etc/subuid: restore it as the user whose house it is to be");
  }
  const auto map = map_of_subids();
  return map ? enter_user_namespace(*map) : Result<void>();
}

}  // namespace gatehouse::host
