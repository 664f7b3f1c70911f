// SPDX-License-Identifier: Apache-2.0
// What the admin API answers, read: a server elsewhere is believed no more than any peer. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/login.h"
#include "cli/session.h"

namespace gatehouse::cli {

// Of a problem (RFC 9457) its kind and detail; of anything else, its status.
[[nodiscard]] Error parse_problem(int status, std::string_view body);

// One page of a list, each item as it came. Errors of this and all below: kInvalid (no JSON),
// kUpstream (not what is answered here).
struct ListPage {
  std::vector<std::string> items;
  std::string next_token;  // "" for the last
};
[[nodiscard]] Result<ListPage> parse_list_page(std::string_view body);

// The name of one item of a list.
[[nodiscard]] Result<std::string> parse_name(std::string_view item);

// run, agent, user, started, ended, outcome, trace.
using RunRow = std::array<std::string, 7>;
[[nodiscard]] Result<std::vector<RunRow>> parse_runs(std::string_view body);

// How many sandboxes a kill or a revival was of.
[[nodiscard]] Result<std::uint64_t> parse_sandboxes(std::string_view body);

// Where the people of a tenant sign in.
struct LoginIssuer {
  std::string name;
  Login at;
};
struct Logins {
  std::string tenant;
  std::vector<LoginIssuer> issuers;
};
[[nodiscard]] Result<Logins> parse_logins(std::string_view body);

[[nodiscard]] Result<StoredSession> parse_session(std::string_view body);

struct WhoAmI {
  std::string who;
  bool is_house = false;
  std::vector<std::string> roles;
};
[[nodiscard]] Result<WhoAmI> parse_who_am_i(std::string_view body);

}  // namespace gatehouse::cli
