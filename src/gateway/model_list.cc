// SPDX-License-Identifier: Apache-2.0
#include "gateway/model_list.h"

#include <algorithm>
#include <array>

#include "ipc/carries_chats.h"
#include "wire/llm_model.h"
#include "wire/llm_models.h"

namespace gatehouse::gateway {
namespace {

// What a model is asked at, for what is before "models" in the path of their list.
std::vector<std::string> asked_at(const wire::LlmEndpoint& endpoint, std::string_view path,
                                  std::string_view model) {
  const std::string base(path.substr(0, path.find("/models")));
  switch (endpoint.dialect) {
    case wire::LlmDialect::kAnthropic:
      return {base + "/messages"};
    case wire::LlmDialect::kGemini:
      if (model.contains('/')) return {};
      return {base + "/models/" + std::string(model) + ":generateContent",
              base + "/models/" + std::string(model) + ":embedContent"};
    default:
      return {base + "/chat/completions", base + "/responses", base + "/embeddings"};
  }
}

struct Asked {
  const ipc::ServiceSpec& service;
  std::string path;
  std::string model;
};

bool may_ask(const Exchange& of, const Asked& asked) {
  const auto provider = provider_of(asked.service.kind);
  const auto host = wire::Host::parse(asked.service.host);
  if (!provider || !host) return false;
  LlmCall llm{wire::llm_endpoint(*provider, "POST", asked.path), {.model = asked.model}, 0};
  if (!llm.endpoint.has_meaning_in_body()) return false;
  const wire::LlmEndpoint endpoint = llm.endpoint;
  const Call call = std::move(llm);
  return of.rulebook
      ->rule({&of.door->run, &asked.service, "POST", &*host, asked.service.port, asked.path, &call,
              &endpoint, true})
      .allowed();
}

// What is asked at `path` of the Service that the agent names, as it is asked of the target; ""
// where it cannot be.
std::string path_there(const ipc::ServiceSpec& from, const ipc::ServiceSpec& to,
                       const ipc::ModelTargetSpec& target, const std::string& path) {
  const auto endpoint = wire::llm_endpoint(*provider_of(from.kind), "POST", path);
  if (ipc::speak_alike(from.kind, to.kind)) {
    return wire::path_for_model(endpoint, path, target.model, target.prefix).value_or("");
  }
  const bool is_chat = endpoint.dialect == wire::LlmDialect::kOpenAiChat;
  if (!is_chat || !ipc::carries_chats(from.kind, to.kind)) return "";
  return to.kind == ipc::ServiceKind::kAnthropic
             ? "/v1/messages"
             : "/v1beta/models/" + target.model + ":generateContent";
}

bool may_ask_route(const Exchange& of, const ipc::ModelRouteSpec& route) {
  const auto paths = asked_at(*of.endpoint, of.path, route.name);
  return std::ranges::any_of(paths, [&](const std::string& path) {
    if (!may_ask(of, {*of.service, path, route.name})) return false;
    return std::ranges::any_of(route.targets, [&](const ipc::ModelTargetSpec& target) {
      const auto* to = of.rulebook->service_named(of.door->run.tenant, target.service);
      const std::string there = to == nullptr ? "" : path_there(*of.service, *to, target, path);
      return !there.empty() && may_ask(of, {*to, there, target.model});
    });
  });
}

std::optional<wire::ModelQuery> query_of(const Exchange& of) {
  if (!of.endpoint || of.endpoint->operation != wire::LlmOperation::kModels) return std::nullopt;
  if (of.endpoint->standing != wire::LlmEndpoint::Standing::kGoverned) return std::nullopt;
  if (of.service->models.empty()) return std::nullopt;  // the endpoint has no method but GET
  return wire::model_query(*of.endpoint, of.path);
}

// Whether it asks for what comes after, or before, what it was given already.
bool is_further_page(std::string_view query) {
  constexpr std::array<std::string_view, 3> kKeys = {"after_id=", "before_id=", "pageToken="};
  return std::ranges::any_of(kKeys, [&](std::string_view key) {
    for (std::size_t at = query.find(key); at != std::string_view::npos;
         at = query.find(key, at + 1)) {
      if (at > 0 && (query[at - 1] == '?' || query[at - 1] == '&')) return true;
    }
    return false;
  });
}

}  // namespace

std::vector<std::string> aliases_for(const Exchange& of) {
  std::vector<std::string> names;
  for (const ipc::ModelRouteSpec& route : of.service->models) {
    if (may_ask_route(of, route)) names.push_back(route.name);
  }
  return names;
}

std::vector<std::string> listed_aliases(const Exchange& of) {
  const auto query = query_of(of);
  if (!query || !query->is_list || is_further_page(of.query)) return {};
  return aliases_for(of);
}

std::optional<std::string> answer_as_alias(const Exchange& of) {
  const auto query = query_of(of);
  if (!query || query->name.empty()) return std::nullopt;
  const auto* const route = Rulebook::model_route(*of.service, query->name);
  if (route == nullptr || !may_ask_route(of, *route)) return std::nullopt;
  return wire::model_json(*of.endpoint, route->name);
}

}  // namespace gatehouse::gateway
