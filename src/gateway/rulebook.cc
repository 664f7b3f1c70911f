// SPDX-License-Identifier: Apache-2.0
#include "gateway/rulebook.h"

#include <fmt/format.h>

#include <algorithm>

#include "wire/path.h"

namespace gatehouse::gateway {
namespace {

std::string place_key(std::string_view tenant, std::string_view host, std::uint16_t port) {
  return fmt::format("{}\n{}\n{}", tenant, host, port);
}
std::string pair_key(std::string_view tenant, std::string_view name) {
  return fmt::format("{}\n{}", tenant, name);
}

bool names(const std::vector<std::string>& list, std::string_view wanted) {
  return std::ranges::find(list, wanted) != list.end();
}
bool lists(const std::vector<std::string>& list, std::string_view wanted) {
  return list.empty() || names(list, wanted);
}

bool matches_path(const std::vector<std::string>& patterns, std::string_view path) {
  return patterns.empty()
         || std::any_of(patterns.begin(), patterns.end(),
                        [&](const std::string& p) { return wire::path_matches(p, path); });
}

// `example.com` is its ports 80 and 443; any other is written with it: `example.com:8443`.
bool matches_host(std::string_view pattern, const wire::Host& host,
                  std::optional<std::uint16_t> port) {
  const wire::HostPattern parts = wire::parts_of(pattern);
  if (!wire::host_matches(parts.host, host)) return false;
  if (!port) return true;
  return parts.port ? *parts.port == *port : *port == 80 || *port == 443;
}
bool matches_host(const std::vector<std::string>& patterns, const wire::Host& host,
                  std::optional<std::uint16_t> port) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return matches_host(pattern, host, port); });
}

struct Unread {
  std::string_view rule;
  std::string_view why;
};

// What would pass a rule without having been read: a tool call or a completion in a form that is
// relayed as it comes. To a model provider, other endpoints need a rule that names their path.
std::optional<Unread> unread_past(const ipc::RuleSpec& rule, const Question& q) {
  if (q.service == nullptr || !std::holds_alternative<HttpCall>(*q.call)) return std::nullopt;
  const bool is_safe = (q.method == "GET" || q.method == "DELETE") && !q.has_body;
  if (q.service->kind == ipc::ServiceKind::kA2a) {
    return Unread{"a2a-transport",
                  "A2A is relayed as JSON-RPC and as HTTP+JSON, at the paths and with the methods "
                  "that it has; gRPC is not relayed"};
  }
  if (q.service->kind == ipc::ServiceKind::kMcp && !is_safe) {
    return Unread{"mcp-transport", "MCP's transport has POST, and GET and DELETE without a body"};
  }
  using Standing = wire::LlmEndpoint::Standing;
  if (q.endpoint == nullptr || q.endpoint->standing == Standing::kGoverned) return std::nullopt;
  if (q.endpoint->standing == Standing::kMisused) {
    return Unread{"completion-transport",
                  "a model is asked with POST, at the path as its provider documents it"};
  }
  const bool is_known = q.endpoint->standing == Standing::kRelayed;
  if (is_known && names(rule.operations, q.endpoint->name)) return std::nullopt;
  const std::string family = fmt::format("/{}", q.endpoint->family());
  const bool named = std::any_of(rule.paths.begin(), rule.paths.end(), [&](const auto& pattern) {
    const bool is_named = !pattern.ends_with("**") || (is_known && pattern.contains(family));
    return is_named && wire::path_matches(pattern, q.path);
  });
  if (named) return std::nullopt;
  return Unread{"unnamed-endpoint",
                is_known ? "it is relayed unread, so that only a rule whose operations or paths "
                           "name it lets it through"
                         : "it is none of the provider's endpoints that are known here, so that "
                           "only a rule whose paths name it lets it through"};
}

// The first model that is asked for without the rule's leave: "" where it is not known which. Of
// what asks none (a list of them, a WebSocket whose messages are ruled on) there is none.
std::optional<std::string_view> unallowed_model(const ipc::RuleSpec& rule, const Question& q) {
  if (rule.models.empty() || q.endpoint == nullptr) return std::nullopt;
  const auto is_allowed = [&](std::string_view model) {
    return !model.empty() && std::ranges::any_of(rule.models, [&](const std::string& pattern) {
      return wire::text_matches(pattern, model);
    });
  };
  const auto* llm = std::get_if<LlmCall>(q.call);
  if (llm == nullptr) {
    const bool asks_none = q.endpoint->standing == wire::LlmEndpoint::Standing::kGoverned;
    return asks_none ? std::nullopt : std::optional<std::string_view>("");
  }
  if (q.endpoint->base_may_name_model) return "";
  if (!is_allowed(llm->request.model)) return llm->request.model;
  const auto& others = llm->request.other_models;
  const auto found = std::ranges::find_if_not(others, is_allowed);
  return found == others.end() ? std::nullopt : std::optional<std::string_view>(*found);
}

// Only tools/call is subject to a rule's tools; the rest of MCP follows the rule that admits the
// service.
bool matches_tool(const ipc::RuleSpec& rule, const Call& call) {
  const auto* tool = std::get_if<ToolCall>(&call);
  if (tool == nullptr || tool->method != "tools/call") return true;
  return lists(rule.tools, tool->tool);
}

bool matches_operation(const ipc::RuleSpec& rule, const Question& q) {
  if (const auto* agent = std::get_if<AgentCall>(q.call)) {
    return lists(rule.operations, agent->request.name());
  }
  return q.endpoint == nullptr || lists(rule.operations, q.endpoint->name);
}

// What passes by its name alone: a method that nobody here knows, and an address given to the other
// agent, to which it sends past the gateway.
std::optional<Unread> unnamed_operation(const ipc::RuleSpec& rule, const Call& call) {
  const auto* agent = std::get_if<AgentCall>(&call);
  if (agent == nullptr) return std::nullopt;
  constexpr auto kWebhook = wire::A2aOperation::kCreateTaskPushNotificationConfig;
  if (agent->request.gives_webhook && !names(rule.operations, name_of(kWebhook))) {
    return Unread{"a2a-webhook",
                  "it gives the agent an address to send to, past the gateway; a rule whose "
                  "operations name CreateTaskPushNotificationConfig allows that"};
  }
  if (agent->request.operation == wire::A2aOperation::kOther
      && !names(rule.operations, agent->request.name())) {
    return Unread{"a2a-method",
                  "it is none of A2A's methods, so that only a rule whose operations "
                  "name it lets it through"};
  }
  return std::nullopt;
}

// `mcp` stands for every server; `mcp:host` for one.
bool names_tool(std::string_view entry, std::string_view tool) {
  return entry == tool || (tool.starts_with(entry) && tool.substr(entry.size()).starts_with(':'));
}

// The first tool that would run at the provider without the rule's leave.
std::optional<std::string_view> unallowed_tool(const ipc::RuleSpec& rule, const Call& call) {
  const auto* llm = std::get_if<LlmCall>(&call);
  if (llm == nullptr) return std::nullopt;
  for (const std::string& tool : llm->request.provider_tools) {
    const bool allowed =
        std::any_of(rule.provider_tools.begin(), rule.provider_tools.end(),
                    [&](const std::string& entry) { return names_tool(entry, tool); });
    if (!allowed) return tool;
  }
  return std::nullopt;
}

std::string what_of(const Question& q) {
  std::string what = fmt::format("{} {}{}", q.method, q.host->text(), q.path);
  if (const auto* tool = std::get_if<ToolCall>(q.call); tool != nullptr && !tool->tool.empty()) {
    what += fmt::format(" (tool {})", tool->tool);
  }
  if (const auto* agent = std::get_if<AgentCall>(q.call)) {
    what += fmt::format(" ({})", agent->request.name().substr(0, 128));
  }
  if (q.endpoint != nullptr && q.endpoint->standing == wire::LlmEndpoint::Standing::kRelayed) {
    what += fmt::format(" ({})", q.endpoint->name);
  }
  return what;
}

}  // namespace

Rulebook::Rulebook(ipc::Snapshot snapshot)
    : snapshot_(std::move(snapshot)), prices_(snapshot_.prices) {
  for (const ipc::ServiceSpec& service : snapshot_.services) {
    by_place_[place_key(service.tenant, service.host, service.port)] = &service;
    by_name_[pair_key(service.tenant, service.name)] = &service;
  }
  for (const ipc::RuleSpec& rule : snapshot_.rules) {
    by_agent_[pair_key(rule.tenant, rule.agent)].push_back(&rule);
  }
}

const ipc::ServiceSpec* Rulebook::service_at(std::string_view tenant, std::string_view host,
                                             std::uint16_t port) const {
  const auto found = by_place_.find(place_key(tenant, host, port));
  return found == by_place_.end() ? nullptr : found->second;
}

const ipc::ServiceSpec* Rulebook::service_named(std::string_view tenant,
                                                std::string_view name) const {
  const auto found = by_name_.find(pair_key(tenant, name));
  return found == by_name_.end() ? nullptr : found->second;
}

Ruling Rulebook::rule(const Question& q) const {
  const auto deny = [&](std::string rule, std::string_view why) {
    return Ruling{Ruling::Effect::kDeny, std::move(rule), fmt::format("{}: {}", what_of(q), why)};
  };
  const auto rules = by_agent_.find(pair_key(q.run->tenant, q.run->agent));
  std::optional<Unread> unread;
  std::optional<std::string_view> unallowed;
  std::optional<std::string_view> other_model;
  if (rules != by_agent_.end()) {
    for (const ipc::RuleSpec* rule : rules->second) {
      const bool place = q.service != nullptr ? rule->service == q.service->name
                                              : matches_host(rule->hosts, *q.host, q.port);
      if (!place || !lists(rule->methods, q.method) || !matches_path(rule->paths, q.path)
          || !matches_tool(*rule, *q.call) || !matches_operation(*rule, q)) {
        continue;
      }
      if (const auto model = unallowed_model(*rule, q)) {
        other_model = model;
        continue;
      }
      if (const auto tool = unallowed_tool(*rule, *q.call)) {
        unallowed = tool;
        continue;
      }
      unread = unread_past(*rule, q);
      if (!unread) unread = unnamed_operation(*rule, *q.call);
      if (!unread) return {Ruling::Effect::kAllow, rule->id, ""};
    }
  }
  if (unread) return deny(std::string(unread->rule), unread->why);
  if (unallowed) {
    return deny("provider-side-tools",
                fmt::format("the tool \"{}\" would run at the provider, past the gateway; a rule's "
                            "provider_tools can allow it by name",
                            unallowed->substr(0, 128)));
  }
  if (other_model) {
    return deny(
        "models",
        other_model->empty()
            ? std::string("which model it asks is not known here (a path, a form or "
                          "a batch may name another), and the rule's models are a "
                          "list")
            : fmt::format("the model \"{}\" is in no rule's models", other_model->substr(0, 128)));
  }
  return deny("default-deny",
              fmt::format("no rule of agent {} allows it; its owner can add one", q.run->agent));
}

bool Rulebook::may_reach(const ipc::RunSpec& run, const wire::Host& host) const {
  const auto rules = by_agent_.find(pair_key(run.tenant, run.agent));
  if (rules == by_agent_.end()) return false;
  return std::any_of(rules->second.begin(), rules->second.end(), [&](const ipc::RuleSpec* rule) {
    if (!rule->service.empty()) {
      const ipc::ServiceSpec* service = service_named(run.tenant, rule->service);
      return service != nullptr && service->host == host.text();
    }
    return matches_host(rule->hosts, host, std::nullopt);
  });
}

std::vector<std::string> Rulebook::names_for(const ipc::RunSpec& run) const {
  std::vector<std::string> names;
  const auto rules = by_agent_.find(pair_key(run.tenant, run.agent));
  if (rules == by_agent_.end()) return names;
  for (const ipc::RuleSpec* rule : rules->second) {
    const ipc::ServiceSpec* service = service_named(run.tenant, rule->service);
    if (service != nullptr) names.push_back(service->host);
    for (const std::string& host : rule->hosts) {
      if (host.starts_with('*')) continue;
      names.emplace_back(wire::parts_of(host).host);
    }
  }
  return names;
}

bool Rulebook::sends_credentials_to(std::string_view tenant, std::string_view host,
                                    std::optional<std::uint16_t> port) const {
  return std::any_of(
      snapshot_.services.begin(), snapshot_.services.end(), [&](const ipc::ServiceSpec& service) {
        return service.tenant == tenant && !service.credential_header.empty()
               && service.upstream_host == host && (!port || service.upstream_port == *port);
      });
}

const ipc::ModelRouteSpec* Rulebook::model_route(const ipc::ServiceSpec& service,
                                                 std::string_view model) {
  const auto found = std::ranges::find(service.models, model, &ipc::ModelRouteSpec::name);
  return found == service.models.end() ? nullptr : &*found;
}

bool Rulebook::wants_intent(const ipc::ServiceSpec& service, std::string_view path) {
  return !service.intent_paths.empty() && matches_path(service.intent_paths, path);
}

}  // namespace gatehouse::gateway
