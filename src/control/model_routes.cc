// SPDX-License-Identifier: Apache-2.0
#include "control/model_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "control/values.h"
#include "ipc/carries_chats.h"
#include "wire/path.h"

namespace gatehouse::control {
namespace {

constexpr std::size_t kRoutesMost = 256;  // of a service
constexpr std::size_t kTargetsMost = 16;  // of a route
constexpr std::size_t kModelMost = 256;   // bytes of a model's name
constexpr std::uint64_t kTierMost = 16;
constexpr std::uint64_t kWeightMost = 1000;
constexpr std::uint64_t kRetriesMost = 8;

// What may stand in a body, in a path and on record.
std::string model_name(Section& section, std::string_view key) {
  std::string name = section.string(key, Need::kRequired).value_or("");
  const bool is_said = section.value(key) != nullptr;
  if (is_said
      && (name.empty() || name.size() > kModelMost || !is_plain(name) || name.contains(' '))) {
    section.problem(key,
                    fmt::format("{} is a model's name: printable ASCII without spaces, at most "
                                "{} bytes",
                                key, kModelMost));
  }
  return name;
}

std::uint32_t number(Section& section, std::string_view key, std::uint64_t usual,
                     std::uint64_t least, std::uint64_t most) {
  const std::uint64_t value = section.number_or(key, usual, most);
  if (value < least) section.problem(key, fmt::format("{} is {} at least", key, least));
  return static_cast<std::uint32_t>(value);
}

ModelTarget target_in(const Yaml& node, Problems& problems) {
  Section section(node, "a target", problems);
  ModelTarget target;
  target.service = section.string(std::string_view("service"), Need::kRequired).value_or("");
  target.model = model_name(section, "model");
  target.tier = number(section, "tier", 1, 1, kTierMost);
  target.weight = number(section, "weight", 1, 1, kWeightMost);
  target.prefix = section.string_or("prefix", "");
  const bool is_path = target.prefix.starts_with('/') && !target.prefix.ends_with('/')
                       && wire::canonical_path(target.prefix).value_or("") == target.prefix;
  if (!target.prefix.empty() && !is_path) {
    section.problem("prefix",
                    "prefix is a plain path without a slash at its end, as /v1 and /api/v1 are");
  }
  section.finish();
  return target;
}

ModelRoute route_in(const Yaml& node, Problems& problems) {
  Section section(node, "a model route", problems);
  ModelRoute route;
  route.name = model_name(section, "name");
  route.by_exchange = section.word("spread", {"run", "exchange"}, Need::kOptional) == 1;
  route.retries = number(section, "retries", ModelRoute::kRetriesUsual, 0, kRetriesMost);
  route.retry_percent = number(section, "retry_percent", ModelRoute::kRetryPercentUsual, 0, 100);
  const std::vector<Yaml>& targets = section.list("targets");
  if (targets.empty() || targets.size() > kTargetsMost) {
    section.problem("targets", fmt::format("targets of a model route are {} at most, and one at "
                                           "least",
                                           kTargetsMost));
  } else {
    std::set<std::pair<std::string, std::string>> seen;
    for (const Yaml& target : targets) {
      route.targets.push_back(target_in(target, problems));
      const ModelTarget& made = route.targets.back();
      if (!seen.emplace(made.service, made.model).second) {
        section.problem("targets",
                        fmt::format("model \"{}\" of service \"{}\" is there twice",
                                    printable(made.model), printable(made.service)),
                        ProblemKind::kGivenTwice);
      }
    }
  }
  section.finish();
  return route;
}

// Why requests to `from` cannot go to `to`; "" when they can.
std::string obstacle(const Service& from, const Service& to, const ModelTarget& target) {
  if (!ipc::speak_alike(from.kind, to.kind) && !ipc::carries_chats(from.kind, to.kind)) {
    return fmt::format(
        "service \"{}\" is of kind {}, and what is asked of {} cannot be asked of it", to.name,
        ipc::name_of(to.kind), ipc::name_of(from.kind));
  }
  const bool is_openai = ipc::speak_alike(to.kind, ipc::ServiceKind::kOpenAi);
  if (!target.prefix.empty() && !is_openai) {
    return "prefix is for services of kind openai and azure-openai";
  }
  if (to.credential && !from.credential) {
    return fmt::format(
        "service \"{}\" has a credential, and \"{}\", where the agent asks, has none "
        "whose placeholder it could show",
        to.name, from.name);
  }
  return "";
}

}  // namespace

std::vector<ModelRoute> model_routes(Section& service, ipc::ServiceKind kind, Problems& problems) {
  std::vector<ModelRoute> routes;
  const std::vector<Yaml>& given = service.list("models");
  if (given.size() > kRoutesMost) {
    service.problem("models", fmt::format("models may have at most {} items", kRoutesMost),
                    ProblemKind::kTooLarge);
    return routes;
  }
  if (!given.empty() && !is_model_provider(kind)) {
    service.problem("models", "models are those of a model provider's service",
                    ProblemKind::kWrongTogether);
  }
  std::set<std::string> names;
  for (const Yaml& node : given) {
    routes.push_back(route_in(node, problems));
    if (!names.insert(routes.back().name).second) {
      service.problem("models", fmt::format("\"{}\" is there twice", printable(routes.back().name)),
                      ProblemKind::kGivenTwice);
    }
  }
  return routes;
}

void check_model_routes(const Yaml& models, const Service& of, Problems& problems,
                        const FindService& find) {
  for (std::size_t i = 0; i < of.models.size(); ++i) {
    const ModelRoute& route = of.models[i];
    Section section(models.items.at(i), "a model route", problems);
    const std::vector<Yaml>& nodes = section.list("targets");
    for (std::size_t j = 0; j < route.targets.size(); ++j) {
      const ModelTarget& target = route.targets[j];
      if (target.service.empty()) continue;  // that has been said
      Section at(nodes.at(j), "a target", problems);
      const Service* to = find(target.service);
      if (to == nullptr) {
        at.problem("service", fmt::format("there is no service \"{}\"", printable(target.service)),
                   ProblemKind::kUnknownName);
      } else if (const std::string why = obstacle(of, *to, target); !why.empty()) {
        at.problem("service", why, ProblemKind::kWrongTogether);
      }
    }
  }
}

}  // namespace gatehouse::control
