// SPDX-License-Identifier: Apache-2.0
#include "supervisor/posture.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "ipc/supervisor.h"

namespace gatehouse::supervisor {
namespace {

using ipc::Ability;

struct Posture {
  std::string_view role;
  std::vector<Ability> possible;
};

const std::vector<Posture>& postures() {
  static const std::vector<Posture> kPostures = {
      {"audit", {Ability::kReadAudit}},
      {"vault", {Ability::kReadVault}},
      {"control", {Ability::kReadState}},
      {"courier", {Ability::kReadResolver, Ability::kInternet}},
      {"exporter", {Ability::kReadResolver, Ability::kInternet}},
      {"gateway", {Ability::kReadResolver, Ability::kInternet}},
      // It builds sandboxes as root, in a network namespace that leads nowhere: what it has a
      // socket for is inside.
      {"sandboxd",
       {Ability::kReadShadow, Ability::kListRoot, Ability::kReadResolver, Ability::kMakeFile,
        Ability::kReadAudit, Ability::kReadVault, Ability::kReadState, Ability::kReadVolumes,
        Ability::kInternet, Ability::kUnixSocket, Ability::kNetlink, Ability::kExecute,
        Ability::kThread, Ability::kNamespaces, Ability::kMount, Ability::kKeyring,
        Ability::kBecomeRoot, Ability::kSignal}},
  };
  return kPostures;
}

}  // namespace

bool should_be_possible(std::string_view role, Ability ability, host::Mode mode) {
  // Root of a user namespace reads nothing of the host's root, and sees its own folders only.
  if (mode != host::Mode::kRoot) {
    constexpr std::array kRootsAlone = {Ability::kReadShadow, Ability::kReadAudit,
                                        Ability::kReadVault, Ability::kReadState};
    const bool is_roots = std::ranges::find(kRootsAlone, ability) != kRootsAlone.end();
    if (role == "sandboxd" && is_roots) return false;
  }
  for (const Posture& posture : postures()) {
    if (posture.role != ipc::role_of(role)) continue;
    return std::find(posture.possible.begin(), posture.possible.end(), ability)
           != posture.possible.end();
  }
  return false;
}

}  // namespace gatehouse::supervisor
