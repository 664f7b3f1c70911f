// SPDX-License-Identifier: Apache-2.0
// Every route of the admin API with the right that it takes: the one list that requests are
// answered by and that the OpenAPI document is made of.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/rights.h"

namespace gatehouse::control {

enum class Action : std::uint8_t {
  kDocument,  // the OpenAPI document
  kWhoAmI,
  kIssuers,  // where a tenant's people sign in
  kSignIn,   // a token of an issuer's for a session
  kSignOut,
  kList,
  kCreate,
  kShow,
  kSet,
  kRemove,
  kEndSessions,
  kListRuns,
  kShowRun,
  kTranscript,
  kKill,
  kRevive,
  kListActs,
  kAttach,      // begin a Run without a sandbox
  kRenewToken,  // of one
  kDetach,      // end one
};

struct Route {
  std::string_view method;
  std::string path;  // "/v1/tenants/{tenant}/users/{name}"
  Action action;
  Right right;
  std::optional<Kind> kind;  // of the objects that it is about
  std::string_view summary;
  std::vector<std::string_view> query;  // what may be in the query
};

[[nodiscard]] const std::vector<Route>& routes();
// "users"
[[nodiscard]] std::string_view plural(Kind kind);

struct Routed {
  const Route* route;                        // null: there is no such path
  std::map<std::string, std::string> names;  // by the path's templates
  std::string allowed;                       // the methods of the path, for Allow
};
// `route` is null and `allowed` not empty when the path has other methods only.
[[nodiscard]] Routed route_of(std::string_view method, std::string_view path);

// The document (https://spec.openapis.org/oas/v3.1.0), the same bytes each time; docs/openapi.json
// is a copy.
[[nodiscard]] const std::string& openapi_document();

}  // namespace gatehouse::control
