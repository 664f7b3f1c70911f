// SPDX-License-Identifier: Apache-2.0
// What an adoption has to know of the house: where its services lead, what is connected, what an
// agent has.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cli/adopt/find.h"
#include "cli/api.h"
#include "cli/client.h"

namespace gatehouse::cli::adopt {

struct ServiceFact {
  std::string name;
  std::string origin;  // as agents name it
  std::string header;  // "" when it takes no key
  bool shared = false;
};

struct HouseFacts {
  std::string tenant;
  std::vector<ServiceFact> services;
  std::set<std::pair<std::string, std::string>> connected;  // user ("" for the tenant), service
  // Of the agent that was named.
  std::map<std::string, std::string> environment;
  std::set<std::string> ruled;  // the services that it has a rule for
};

// What the admin API answers of one service, an agent's variables, and the service that a rule is
// for ("" for one of hosts). Errors: kInvalid, kUpstream.
[[nodiscard]] Result<ServiceFact> parse_service(std::string_view item);
[[nodiscard]] Result<std::map<std::string, std::string>> parse_environment(std::string_view agent);
[[nodiscard]] Result<std::string> parse_ruled_service(std::string_view rule);

// Errors: kNotFound for an agent that there is not; those of the API and the socket.
[[nodiscard]] Result<HouseFacts> facts_of(const Api& api, Client& client, const Options& options);
// Errors: what the API refuses with.
[[nodiscard]] Result<void> create_service(const Api& api, const HouseFacts& facts,
                                          const ServiceFact& service, const Target& target);

}  // namespace gatehouse::cli::adopt
