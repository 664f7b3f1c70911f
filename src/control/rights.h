// SPDX-License-Identifier: Apache-2.0
// Who may do what: rights, the roles that have them, and who somebody is. Pure. docs/people.md
// shows the table to people; a test holds the two together.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "control/store.h"

namespace gatehouse::control {

enum class Right : std::uint8_t {
  // Of a tenant; roles give them.
  kRead,        // its objects and Runs, never what was said in a Run
  kTranscript,  // what was said and done in a Run
  kActs,        // the record of administrative acts
  kPeople,      // users, groups, service accounts, issuers
  kGrant,       // role bindings
  kServices,    // where agents may be let through to, and how credentials are shown there
  kAgents,      // programs that act
  kPolicy,      // rules: what an agent may do
  kRun,         // begin a Run outside of a sandbox, keep it up and end it
  kKill,        // stop a Run
  kRevive,      // let a killed Run go on
  kApprove,     // answer what a rule asks a person; its act comes with such rules
  // Of the house; no role gives them.
  kTenants,  // make and remove tenants
  kHost,     // let something of the host in: its directories, its private networks
  // Of everyone.
  kSignedIn,  // whoever has signed in, about themselves
  kAnyone,    // without a credential
};
inline constexpr std::size_t kRights = 16;
[[nodiscard]] std::string_view text(Right right);

// The roles of a tenant: owner, security, approver, auditor, developer.
[[nodiscard]] std::vector<std::string_view> role_names();
[[nodiscard]] bool role_gives(std::string_view role, Right right);

// Who asks.
struct Principal {
  enum class Type : std::uint8_t { kNobody, kHouse, kUser, kAccount };
  Type type = Type::kNobody;
  std::uint32_t uid = 0;  // of kHouse: root, or the owner of the data directory
  std::string tenant;
  std::string name;
  std::string issuer;               // of the session, and
  std::vector<std::string> claims;  // what it said of groups

  // "uid 0", "user default/alice", "account default/ci", "nobody".
  [[nodiscard]] std::string text() const;
};

// The names of the roles that somebody has in their tenant.
[[nodiscard]] std::vector<std::string> roles_of(const State& state, const Principal& who);
// Whether they have the right in that tenant ("" for rights that are of no tenant). What is not
// given is denied.
[[nodiscard]] bool may(const State& state, const Principal& who, Right right,
                       std::string_view tenant);

}  // namespace gatehouse::control
