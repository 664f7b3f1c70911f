// SPDX-License-Identifier: Apache-2.0
#include "control/rights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

namespace gatehouse::control {
namespace {

constexpr std::array<std::string_view, kRights> kRightNames = {
    "read", "transcript", "acts",   "people",  "grant",   "services", "agents",    "policy",
    "run",  "kill",       "revive", "approve", "tenants", "host",     "signed_in", "anyone"};

struct Row {
  std::string_view role;
  std::vector<Right> rights;
};

// The table. Kill, policy and transcripts are apart: who changes what agents may do does not by
// that read what people said to them.
const std::vector<Row>& rows() {
  using enum Right;
  static const std::vector<Row> kRows = {
      {"owner",
       {kRead, kTranscript, kActs, kPeople, kGrant, kServices, kAgents, kPolicy, kRun, kKill,
        kRevive, kApprove}},
      {"security", {kRead, kActs, kServices, kPolicy, kKill, kRevive}},
      {"approver", {kRead, kApprove}},
      {"auditor", {kRead, kTranscript, kActs}},
      {"developer", {kRead, kAgents, kRun}},
  };
  return kRows;
}

std::set<std::string> groups_of(const State& state, const Principal& who) {
  std::set<std::string> names;
  if (who.type != Principal::Type::kUser) return names;
  const auto has = [](const std::vector<std::string>& list, const std::string& item) {
    return std::find(list.begin(), list.end(), item) != list.end();
  };
  for (const Group* group : state.all<Group>()) {
    if (group->tenant != who.tenant) continue;
    const bool claimed =
        !group->claim.empty() && group->issuer == who.issuer && has(who.claims, group->claim);
    if (claimed || has(group->members, who.name)) names.insert(group->name);
  }
  return names;
}

}  // namespace

std::string_view text(Right right) { return kRightNames.at(static_cast<std::size_t>(right)); }

std::vector<std::string_view> role_names() {
  std::vector<std::string_view> names;
  for (const Row& row : rows()) names.push_back(row.role);
  return names;
}

bool role_gives(std::string_view role, Right right) {
  const auto row =
      std::find_if(rows().begin(), rows().end(), [&](const Row& r) { return r.role == role; });
  return row != rows().end()
         && std::find(row->rights.begin(), row->rights.end(), right) != row->rights.end();
}

std::string Principal::text() const {
  switch (type) {
    case Type::kHouse:
      return fmt::format("uid {}", uid);
    case Type::kUser:
      return fmt::format("user {}/{}", tenant, name);
    case Type::kAccount:
      return fmt::format("account {}/{}", tenant, name);
    case Type::kNobody:
      break;
  }
  return "nobody";
}

std::vector<std::string> roles_of(const State& state, const Principal& who) {
  std::set<std::string> roles;
  const std::set<std::string> groups = groups_of(state, who);
  for (const Binding* binding : state.all<Binding>()) {
    if (binding->tenant != who.tenant) continue;
    const bool is_theirs =
        (binding->subject_kind == Kind::kUser && who.type == Principal::Type::kUser
         && binding->subject == who.name)
        || (binding->subject_kind == Kind::kAccount && who.type == Principal::Type::kAccount
            && binding->subject == who.name)
        || (binding->subject_kind == Kind::kGroup && groups.contains(binding->subject));
    if (is_theirs) roles.insert(binding->role);
  }
  return {roles.begin(), roles.end()};
}

bool may(const State& state, const Principal& who, Right right, std::string_view tenant) {
  if (right == Right::kAnyone || who.type == Principal::Type::kHouse) return true;
  if (who.type == Principal::Type::kNobody) return false;
  if (right == Right::kSignedIn) return true;
  if (who.tenant.empty() || who.tenant != tenant) return false;
  const std::vector<std::string> roles = roles_of(state, who);
  return std::any_of(roles.begin(), roles.end(),
                     [&](const std::string& role) { return role_gives(role, right); });
}

}  // namespace gatehouse::control
