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
#include "base/secret.h"
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

// run, agent, user, started, ended, outcome, where ("sandbox" or "attached"), trace.
using RunRow = std::array<std::string, 8>;
[[nodiscard]] Result<std::vector<RunRow>> parse_runs(std::string_view body);

// A Run without a sandbox that was begun, or another token of one, which has no ids, anchors and
// variables. Errors: kUpstream also for a life that is not within a day.
struct AttachedRun {
  std::string run;
  std::string trace;
  Secret token;
  std::int64_t life_s = 0;
  std::string gateway;  // HOST:PORT
  std::string gateway_certificate_pem;
  std::string ca_pem;
  std::vector<std::string> environment;  // NAME=VALUE
};
inline constexpr std::int64_t kTokenLifeMost_s = 86'400;
[[nodiscard]] Result<AttachedRun> parse_attached_run(std::string_view body);

// What the host of that house does not enforce, of the same page.
[[nodiscard]] Result<std::vector<std::string>> parse_not_enforced(std::string_view body);

// How many sandboxes a kill or a revival was of; `ended`: of these, those that nothing there can
// freeze.
struct Stopped {
  std::uint64_t sandboxes = 0;
  std::uint64_t ended = 0;
};
[[nodiscard]] Result<Stopped> parse_stopped(std::string_view body);

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
