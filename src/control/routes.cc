// SPDX-License-Identifier: Apache-2.0
#include "control/routes.h"

#include <fmt/format.h>

#include <array>

namespace gatehouse::control {
namespace {

constexpr std::string_view kTenantPath = "/v1/tenants/{tenant}";

struct Collection {
  Kind kind;
  std::string_view plural;
  Right change;
  bool has_set;
};
constexpr std::array<Collection, kKinds> kCollections = {{
    {Kind::kTenant, "tenants", Right::kTenants, true},
    {Kind::kUser, "users", Right::kPeople, true},
    {Kind::kService, "services", Right::kServices, true},
    {Kind::kAgent, "agents", Right::kAgents, true},
    {Kind::kRule, "rules", Right::kPolicy, true},
    {Kind::kGroup, "groups", Right::kPeople, true},
    {Kind::kAccount, "accounts", Right::kPeople, true},
    {Kind::kIssuer, "issuers", Right::kPeople, true},
    {Kind::kBinding, "bindings", Right::kGrant, false},  // its name is all that it says
}};

std::string collection_path(const Collection& collection) {
  if (collection.kind == Kind::kTenant) return "/v1/tenants";
  if (collection.kind == Kind::kRule) return fmt::format("{}/agents/{{agent}}/rules", kTenantPath);
  return fmt::format("{}/{}", kTenantPath, collection.plural);
}

void add_collection(std::vector<Route>& all, const Collection& collection) {
  const std::string path = collection_path(collection);
  const bool is_tenant = collection.kind == Kind::kTenant;
  const std::string item = is_tenant ? std::string(kTenantPath) : path + "/{name}";
  // Everyone sees the tenant that they are of, and no other.
  const Right list = is_tenant ? Right::kSignedIn : Right::kRead;
  const std::vector<std::string_view> paging = {"limit", "page_token"};
  all.push_back({"GET", path, Action::kList, list, collection.kind, "List", paging});
  all.push_back({"POST", path, Action::kCreate, collection.change, collection.kind, "Make", {}});
  all.push_back({"GET", item, Action::kShow, Right::kRead, collection.kind, "Show", {}});
  if (collection.has_set) {
    all.push_back({"PUT", item, Action::kSet, collection.change, collection.kind, "Change", {}});
  }
  all.push_back(
      {"DELETE", item, Action::kRemove, collection.change, collection.kind, "Remove", {}});
  if (collection.kind == Kind::kUser || collection.kind == Kind::kAccount) {
    all.push_back({"POST",
                   item + "/sign-out",
                   Action::kEndSessions,
                   collection.change,
                   collection.kind,
                   "End all sessions of a",
                   {}});
  }
}

std::vector<Route> make_routes() {
  std::vector<Route> all = {
      {"GET", "/v1/openapi.json", Action::kDocument, Right::kAnyone, {}, "This document", {}},
      {"GET",
       "/v1/login",
       Action::kIssuers,
       Right::kAnyone,
       {},
       "Where people sign in",
       {"tenant"}},
      {"POST",
       "/v1/sessions",
       Action::kSignIn,
       Right::kAnyone,
       {},
       "Give a token of an issuer's for a session",
       {}},
      {"DELETE",
       "/v1/sessions/current",
       Action::kSignOut,
       Right::kSignedIn,
       {},
       "End the session that asks",
       {}},
      {"GET", "/v1/whoami", Action::kWhoAmI, Right::kSignedIn, {}, "Who asks, and their roles", {}},
  };
  for (const Collection& collection : kCollections) add_collection(all, collection);
  const std::string runs = fmt::format("{}/runs", kTenantPath);
  all.push_back(
      {"GET", runs, Action::kListRuns, Right::kRead, {}, "List Runs, the newest first", {"limit"}});
  all.push_back({"POST",
                 runs,
                 Action::kAttach,
                 Right::kRun,
                 {},
                 "Begin a Run outside of a sandbox, for the holder of a client certificate",
                 {}});
  all.push_back({"POST",
                 runs + "/{run}/token",
                 Action::kRenewToken,
                 Right::kRun,
                 {},
                 "Give whoever began that Run another token for the same certificate",
                 {}});
  all.push_back({"POST",
                 runs + "/{run}/end",
                 Action::kDetach,
                 Right::kRun,
                 {},
                 "End a Run outside of a sandbox",
                 {}});
  all.push_back({"GET", runs + "/{run}", Action::kShowRun, Right::kRead, {}, "Show a Run", {}});
  all.push_back({"GET",
                 runs + "/{run}/transcript",
                 Action::kTranscript,
                 Right::kTranscript,
                 {},
                 "The story of a Run; that it was read is put on record",
                 {"form"}});
  all.push_back({"POST",
                 runs + "/{run}/kill",
                 Action::kKill,
                 Right::kKill,
                 {},
                 "Stop a Run at once, durably",
                 {}});
  all.push_back({"POST",
                 runs + "/{run}/revive",
                 Action::kRevive,
                 Right::kRevive,
                 {},
                 "Let a killed Run go on",
                 {}});
  all.push_back({"GET",
                 fmt::format("{}/acts", kTenantPath),
                 Action::kListActs,
                 Right::kActs,
                 {},
                 "List what was done and read by whom, the oldest first",
                 {"limit", "page_token"}});
  return all;
}

// The next segment of a path, taken from it: "v1" of "/v1/users".
std::string_view next_segment(std::string_view& path) {
  path.remove_prefix(1);
  const std::string_view segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  return segment;
}

bool matches(std::string_view pattern, std::string_view path,
             std::map<std::string, std::string>& names) {
  names.clear();
  while (pattern.starts_with('/') && path.starts_with('/')) {
    const std::string_view wanted = next_segment(pattern);
    const std::string_view given = next_segment(path);
    if (wanted.starts_with('{')) {
      if (given.empty()) return false;
      names[std::string(wanted.substr(1, wanted.size() - 2))] = given;
    } else if (wanted != given) {
      return false;
    }
  }
  return pattern.empty() && path.empty();
}

}  // namespace

const std::vector<Route>& routes() {
  static const std::vector<Route> kRoutes = make_routes();
  return kRoutes;
}

std::string_view plural(Kind kind) {
  return kCollections.at(static_cast<std::size_t>(kind)).plural;
}

Routed route_of(std::string_view method, std::string_view path) {
  Routed routed{nullptr, {}, ""};
  std::map<std::string, std::string> names;
  for (const Route& route : routes()) {
    if (!matches(route.path, path, names)) continue;
    routed.allowed += fmt::format("{}{}", routed.allowed.empty() ? "" : ", ", route.method);
    if (route.method != method) continue;
    routed.route = &route;
    routed.names = names;
  }
  return routed;
}

}  // namespace gatehouse::control
