// SPDX-License-Identifier: Apache-2.0
#include "control/environment.h"

#include <fmt/format.h>

#include <map>

namespace gatehouse::control {
namespace {

// What an agent's environment is filled with, and the words for what is missing.
struct Filling {
  const State& state;
  const Run& run;
  std::map<std::string, std::string> values;  // placeholders by service

  [[nodiscard]] Result<std::string> filled(const std::string& name, const std::string& text) const {
    auto out = with_placeholders(text, values);
    if (out || out.error() != Error::kNotFound) return out;
    const std::string& missing = out.error().message();
    const Service* service = state.find<Service>(run.tenant, missing);
    const bool shared = service != nullptr && service->shared;
    return failure(
        Error::kNotFound,
        fmt::format("{} of agent {} needs a connection that {} does not have; `gatehouse connect "
                    "{}{}` makes it",
                    name, run.agent, shared ? "the tenant" : run.user, missing,
                    shared ? "" : " --user " + run.user));
  }
};

}  // namespace

Result<std::vector<std::string>> environment_of(const State& state, const Run& run,
                                                const Agent& agent,
                                                const std::vector<ipc::Placeholder>& placeholders,
                                                const std::vector<std::string>& asked) {
  Filling filling{state, run, {}};
  for (const ipc::Placeholder& p : placeholders) filling.values[p.service] = p.text;
  std::map<std::string, std::string> variables;
  for (const auto& [name, value] : agent.environment) {
    variables[name] = TRY(filling.filled(name, value));
  }
  for (const std::string& text : asked) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || text.contains('\0')) {
      return failure(Error::kInvalid, "an environment variable is given as NAME=VALUE");
    }
    const std::string name = text.substr(0, equals);
    const std::string value = text.substr(equals + 1);
    variables[name] = value.contains("{{placeholder:") ? TRY(filling.filled(name, value)) : value;
  }
  std::vector<std::string> out;
  for (const auto& [name, value] : variables) out.push_back(fmt::format("{}={}", name, value));
  return out;
}

}  // namespace gatehouse::control
