// SPDX-License-Identifier: Apache-2.0
#include "gateway/model_route.h"

#include <fmt/format.h>

#include <array>
#include <set>

#include "gateway/exchange.h"
#include "ipc/carries_chats.h"
#include "wire/form.h"
#include "wire/http1.h"
#include "wire/llm_model.h"

namespace gatehouse::gateway {
namespace {

constexpr std::string_view kRefusedBy = "model-route";
constexpr std::string_view kAnthropicVersion = "2023-06-01";
constexpr std::int64_t kMaxTokensUsual = 4096;  // what Anthropic is told where the agent says none
constexpr std::size_t kNotedMost = 1024;        // bytes of what is put on record of attempts

std::string route_key(const ipc::ServiceSpec& service, const ipc::ModelRouteSpec& route) {
  return fmt::format("{}\n{}\n{}", service.tenant, service.name, route.name);
}
std::string target_key(const ipc::ServiceSpec& service, const ipc::ModelTargetSpec& target) {
  return fmt::format("{}\n{}\n{}", service.tenant, target.service, target.model);
}

// Of the agent's query, what another Service of the same dialect needs: a version, and the form of
// a stream. Keys may stand in the rest.
std::string query_elsewhere(std::string_view query) {
  std::string kept;
  while (!query.empty()) {
    query.remove_prefix(1);  // '?' or '&'
    const std::string_view part = query.substr(0, query.find('&'));
    query.remove_prefix(part.size());
    if (!part.starts_with("api-version=") && !part.starts_with("alt=")) continue;
    kept.append(kept.empty() ? "?" : "&").append(part);
  }
  return kept;
}

std::string_view content_type(const Exchange& of) {
  return of.request.head.headers.find("content-type").value_or("");
}

// The same request, for another model.
Result<void> as_it_stands(Aim& aim, const Exchange& of, const ipc::ModelTargetSpec& target) {
  const auto& asked = std::get<LlmCall>(of.call);
  const ipc::ServiceSpec& service = *aim.service;
  aim.path = TRY(wire::path_for_model(asked.endpoint, of.path, target.model, target.prefix));
  const auto endpoint =
      wire::llm_endpoint(*provider_of(service.kind), of.request.head.method, aim.path);
  if (endpoint.dialect != asked.endpoint.dialect
      || endpoint.operation != asked.endpoint.operation) {
    return failure(Error::kInvalid,
                   fmt::format("service {} has no such endpoint at {}", service.name, aim.path));
  }
  const auto type = content_type(of);
  const bool is_form = endpoint.takes_forms() && wire::is_form(type);
  aim.body = is_form ? TRY(wire::form_for_model(endpoint, type, of.readable_body(), target.model))
                     : TRY(wire::body_for_model(endpoint, asked.request, of.readable_body(),
                                                target.model, service.asks_usage));
  aim.hides_usage = service.asks_usage && asked.request.usage_edit.has_value();
  aim.target = service.base_path + aim.path
               + (&service == of.service ? of.query : query_elsewhere(of.query));
  return {};
}

// The same chat, in another dialect.
Result<void> carried_over(Aim& aim, const Exchange& of, const ipc::ModelTargetSpec& target) {
  if (std::get<LlmCall>(of.call).endpoint.dialect != wire::LlmDialect::kOpenAiChat) {
    return failure(Error::kInvalid,
                   fmt::format("of what is asked of {}, chats alone can be carried "
                               "over to service {}",
                               of.service->name, aim.service->name));
  }
  aim.translated = aim.service->kind == ipc::ServiceKind::kAnthropic
                       ? wire::TranslatedTo::kAnthropic
                       : wire::TranslatedTo::kGemini;
  wire::TranslatedRequest made = TRY(
      wire::translated_request(*aim.translated, of.readable_body(), target.model, kMaxTokensUsual));
  aim.path = made.path.substr(0, made.path.find('?'));
  aim.target = aim.service->base_path + made.path;
  aim.body = std::move(made.body);
  aim.wants_usage = made.wants_usage;
  return {};
}

// What the agent asks as it is asked of that target. Errors: kInvalid and kUnsupported where it
// cannot be.
Result<Aim> aim_at(const Exchange& of, std::size_t index) {
  const ipc::ModelTargetSpec& target = of.model_route->targets.at(index);
  const ipc::ServiceSpec* const service =
      of.rulebook->service_named(of.door->run.tenant, target.service);
  const ipc::ServiceKind asked_kind = of.service->kind;
  const bool is_alike = service != nullptr && ipc::speak_alike(asked_kind, service->kind);
  if (!is_alike && (service == nullptr || !ipc::carries_chats(asked_kind, service->kind))) {
    return failure(Error::kInvalid, fmt::format("service {} cannot be asked in the place of {}",
                                                target.service, of.service->name));
  }
  Aim aim;
  aim.is_target = true;
  aim.index = index;
  aim.service = service;
  aim.destination = TRY(of.gate->upstreams.destination_of(*service));
  TRY(is_alike ? as_it_stands(aim, of, target) : carried_over(aim, of, target));
  // What goes out is read as if the agent had sent it there.
  auto endpoint = wire::llm_endpoint(*provider_of(service->kind), "POST", aim.path);
  if (!endpoint.has_meaning_in_body()) {
    return failure(Error::kInvalid,
                   fmt::format("service {} has no such endpoint at {}", service->name, aim.path));
  }
  const auto type = content_type(of);
  auto request = endpoint.takes_forms() && wire::is_form(type)
                     ? TRY(wire::LlmRequest::parse_form(endpoint, type, *aim.body))
                     : TRY(wire::LlmRequest::parse(endpoint, *aim.body));
  if (request.model != target.model) {
    return failure(Error::kInvalid, "the request says its model in a way that is not understood");
  }
  aim.call =
      std::make_unique<Call>(LlmCall{std::move(endpoint), std::move(request), aim.body->size()});
  return aim;
}

// Whether this agent may ask that of that Service itself.
Ruling ruling_on(const Exchange& of, const Aim& aim) {
  const auto host = wire::Host::parse(aim.service->host);
  if (!host) return {Ruling::Effect::kDeny, std::string(kRefusedBy), "the target has no host"};
  const auto& call = std::get<LlmCall>(*aim.call);
  return of.rulebook->rule({&of.door->run, aim.service, of.request.head.method, &*host,
                            aim.service->port, aim.path, aim.call.get(), &call.endpoint, true});
}

// Why no target was found.
struct NoTarget {
  std::optional<Error> error;    // of the first that the request cannot be made into one for
  std::optional<Ruling> denial;  // of the first that the agent may not ask
};

std::optional<Aim> usable(Exchange& of, NoTarget& why) {
  while (const auto index = of.attempts->next(of.gate->loop.now())) {
    Result<Aim> aim = aim_at(of, *index);
    if (aim && !of.kept.grow(aim->body->size())) {
      aim = failure(Error::kExhausted, "there is no room for its request now; try again");
    }
    if (!aim) {
      if (!why.error) why.error = std::move(aim.error());
      continue;
    }
    Ruling ruling = ruling_on(of, *aim);
    if (ruling.allowed()) return *std::move(aim);
    if (!why.denial) why.denial = std::move(ruling);
  }
  return std::nullopt;
}

std::vector<Candidate> candidates_of(const ipc::ServiceSpec& service,
                                     const ipc::ModelRouteSpec& route) {
  std::vector<Candidate> all;
  for (const ipc::ModelTargetSpec& target : route.targets) {
    all.push_back({target_key(service, target), target.tier, target.weight});
  }
  return all;
}

std::uint32_t whole_seconds(Nanos span) {
  return static_cast<std::uint32_t>((span + 999ms) / std::chrono::seconds(1));
}

}  // namespace

Result<void> aim(Exchange& of) {
  if (of.model_route == nullptr || !of.ruling.allowed()) return {};
  ++of.gate->counters.routed;
  const ipc::ModelRouteSpec& route = *of.model_route;
  // The Run's own targets, so that what a provider has in its cache of a conversation is used; or
  // each exchange's. Both are on record: the choice can be made again.
  const std::uint64_t seed =
      seed_of(route.by_exchange ? of.exchange.text() : of.door->run.run.text());
  of.attempts = std::make_unique<Attempts>(of.gate->attempts, route_key(*of.service, route),
                                           candidates_of(*of.service, route), route.retries,
                                           route.retry_percent, seed);
  NoTarget why;
  if (auto found = usable(of, why)) {
    of.aim = *std::move(found);
    return {};
  }
  const Instant now = of.gate->loop.now();
  if (const auto until = of.attempts->rests_until(now)) {
    of.caller->refused_by = kRefusedBy;
    of.caller->retry_after_s = whole_seconds(*until - now);
    return failure(Error::kUnavailable,
                   fmt::format("all that stands behind the model {} asked to be left alone; try "
                               "again in {} s",
                               route.name, of.caller->retry_after_s));
  }
  if (why.error) {
    const bool is_asked_wrongly = *why.error == Error::kUnsupported;
    return failure(is_asked_wrongly ? Error::kInvalid : why.error->code(),
                   fmt::format("model {}: {}", route.name, why.error->message()));
  }
  of.ruling =
      why.denial.value_or(Ruling{Ruling::Effect::kDeny, std::string(kRefusedBy), "no target"});
  of.ruling.reason = fmt::format("model {}: {}", route.name, of.ruling.reason);
  return {};
}

std::optional<Aim> next_aim(Exchange& of) {
  NoTarget why;
  return usable(of, why);
}

bool take_place(Exchange& of, const Aim& at) {
  if (at.service == nullptr) return true;
  auto place = of.gate->concurrency.take(*at.service);
  if (place) of.place = *std::move(place);
  return place.has_value();
}

std::string name_of(const Exchange& of, const Aim& at) {
  const ipc::ModelTargetSpec& target = of.model_route->targets.at(at.index);
  return fmt::format("{}/{}", target.service, target.model);
}

void note_attempt(Exchange& of, const Aim& at, std::string_view what) {
  if (of.attempted.size() > kNotedMost) return;
  of.attempted += fmt::format("{}{} {}", of.attempted.empty() ? "" : ", ", name_of(of, at), what);
}

wire::Headers headers_for(const Exchange& of) {
  wire::Headers headers = of.request.head.headers;
  wire::remove_hop_by_hop(headers);
  if (of.aim.body) headers.remove("content-encoding");
  if (of.aim.service == of.service) return headers;
  wire::Headers kept;
  if (of.aim.translated) {
    if (const auto agent = headers.find("user-agent")) kept.set("user-agent", *agent);
    kept.set("accept",
             std::get<LlmCall>(of.call).request.stream ? "text/event-stream" : "application/json");
    kept.set("content-type", "application/json");
    if (*of.aim.translated == wire::TranslatedTo::kAnthropic) {
      kept.set("anthropic-version", kAnthropicVersion);
    }
    return kept;
  }
  constexpr std::array<wire::HeaderName, 6> kEverywhere = {
      "accept", "anthropic-beta", "anthropic-version", "content-type", "openai-beta", "user-agent"};
  for (const wire::HeaderName name : kEverywhere) {
    if (const auto value = headers.find(name.text())) kept.set(name, *value);
  }
  return kept;
}

void keep_routes_of(const ipc::Snapshot& snapshot, AttemptMemory& memory) {
  std::set<std::string> routes;
  std::set<std::string> targets;
  for (const ipc::ServiceSpec& service : snapshot.services) {
    for (const ipc::ModelRouteSpec& route : service.models) {
      routes.insert(route_key(service, route));
      for (const auto& target : route.targets) targets.insert(target_key(service, target));
    }
  }
  memory.keep(routes, targets);
}

}  // namespace gatehouse::gateway
