// SPDX-License-Identifier: Apache-2.0
// The Snapshot as a gateway uses it: services by where the agent says it goes, rules by
// agent. Immutable once built; Exchanges that began under it keep it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/call.h"
#include "gateway/prices.h"
#include "ipc/sandbox.h"
#include "ipc/snapshot.h"
#include "wire/url.h"

namespace gatehouse::gateway {

// allow or deny (ask and transform come with approvals and detectors), and what decided.
struct Ruling {
  enum class Effect : std::uint8_t { kDeny, kAllow };
  Effect effect = Effect::kDeny;
  std::string rule;    // the id of the rule that allowed, "default-deny" or another reason's name
  std::string reason;  // for people: what was refused and what to do
  [[nodiscard]] bool allowed() const { return effect == Effect::kAllow; }
};

// What RULE looks at.
struct Question {
  const ipc::RunSpec* run = nullptr;
  const ipc::ServiceSpec* service = nullptr;  // null: a host that is no Service
  std::string_view method;
  const wire::Host* host = nullptr;
  std::uint16_t port = 0;
  std::string_view path;  // canonical, without the query
  const Call* call = nullptr;
  const wire::LlmEndpoint* endpoint = nullptr;  // null: not a model provider's
  bool has_body = false;
};

class Rulebook {
 public:
  explicit Rulebook(ipc::Snapshot snapshot);

  [[nodiscard]] std::uint64_t generation() const { return snapshot_.generation; }
  [[nodiscard]] const std::vector<std::string>& run_token_keys() const {
    return snapshot_.run_token_keys;
  }
  // The Service that this tenant knows by that name and port; null if none.
  [[nodiscard]] const ipc::ServiceSpec* service_at(std::string_view tenant, std::string_view host,
                                                   std::uint16_t port) const;
  [[nodiscard]] const ipc::ServiceSpec* service_named(std::string_view tenant,
                                                      std::string_view name) const;
  [[nodiscard]] const std::vector<ipc::ServiceSpec>& services() const { return snapshot_.services; }
  // Default deny; pure.
  [[nodiscard]] Ruling rule(const Question& question) const;
  // Whether any rule of this agent could let it reach a host of that name: what the Door's DNS may
  // answer.
  [[nodiscard]] bool may_reach(const ipc::RunSpec& run, const wire::Host& host) const;
  // The names that this agent's rules spell out, services' hosts among them; of a pattern none.
  [[nodiscard]] std::vector<std::string> names_for(const ipc::RunSpec& run) const;
  // Whether any Service of that tenant sends a credential to that host, as it is dialled, and where
  // a port is given, to that port of it.
  [[nodiscard]] bool sends_credentials_to(std::string_view tenant, std::string_view host,
                                          std::optional<std::uint16_t> port = std::nullopt) const;
  [[nodiscard]] const Prices& prices() const { return prices_; }
  // What stands behind that name for a model at that Service; null where it is none.
  [[nodiscard]] static const ipc::ModelRouteSpec* model_route(const ipc::ServiceSpec& service,
                                                              std::string_view model);
  // Whether a safe request to this path needs a durable Intent all the same.
  [[nodiscard]] static bool wants_intent(const ipc::ServiceSpec& service, std::string_view path);

 private:
  ipc::Snapshot snapshot_;
  Prices prices_;
  std::unordered_map<std::string, const ipc::ServiceSpec*> by_place_;
  std::unordered_map<std::string, const ipc::ServiceSpec*> by_name_;
  std::unordered_map<std::string, std::vector<const ipc::RuleSpec*>> by_agent_;
};

}  // namespace gatehouse::gateway
