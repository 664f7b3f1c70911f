// SPDX-License-Identifier: Apache-2.0
// `gatehouse`, the one command that a person types.
#include <chrono>
#include <cstdlib>

#include "base/format_version.h"
#include "bin/up.h"
#include "cli/cli.h"
#include "control/bundle.h"
#include "control/config.h"
#include "control/house_secrets.h"
#include "control/present.h"
#include "control/redacted.h"
#include "control/store.h"
#include "host/footing.h"
#include "supervisor/kill_file.h"

namespace gatehouse::bin {
namespace {

Result<std::string> data_of(const std::string& config) {
  return TRY(control::load_config(config)).data;
}

Result<cli::ConfigReport> check_config(const std::string& path) {
  const auto config = TRY(control::check_config(path));
  if (config) return cli::ConfigReport{config->data, {}};
  cli::ConfigReport report;
  for (const control::Problem& problem : config.error()) {
    const control::ProblemRow& row = control::row_of(problem.kind);
    report.problems.push_back({problem.line, problem.column, std::string(row.label), problem.what,
                               std::string(row.remedy)});
  }
  return report;
}

// What `control` does with it at its start, and how long the first part takes.
Result<cli::StateRehearsed> rehearsed_state(const std::string& copy, const std::string& config) {
  const control::StoreLook found = TRY(control::look_at_store(copy));
  const auto began = std::chrono::steady_clock::now();
  const auto store = TRY(control::open_sqlite_store(copy));
  const auto took = std::chrono::steady_clock::now() - began;
  TRY(store->state());
  if (!config.empty()) TRY(store->apply_file(TRY(control::load_config(config))));
  cli::StateRehearsed rehearsed{found.version, found.live_runs, 0};
  if (found.version < kStateFormat.latest) {
    rehearsed.takes_ms = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(took).count());
  }
  return rehearsed;
}

Result<void> check_kills(std::string_view text) {
  TRY(supervisor::parse_kill_file(text));
  return {};
}

std::vector<cli::ConfigErrorRow> config_errors() {
  std::vector<cli::ConfigErrorRow> rows;
  for (const control::ProblemRow& row : control::problem_rows()) {
    rows.push_back({std::string(row.label), std::string(row.cause), std::string(row.remedy)});
  }
  return rows;
}

// Who says the form of the log: the command before the config before the environment.
struct LogSaid {
  std::string by_command;  // "text", "json" or "", as the next
  std::string by_environment;
};
LogForm form_of(const control::Config& config, const LogSaid& said) {
  const auto named = [](std::string_view name) {
    return name == "json" ? LogForm::kJson : LogForm::kText;
  };
  if (!said.by_command.empty()) return named(said.by_command);
  if (!config.log_format) return named(said.by_environment);
  return *config.log_format == control::LogFormat::kJson ? LogForm::kJson : LogForm::kText;
}

supervisor::PortAddresses ports_of(const control::Config& config) {
  return {config.metrics_listen, config.admin.at, config.attach.at};
}

// What only a start reads must not look as if it were in force.
Result<supervisor::ConfigRead> read_again(const std::string& path, const control::Config& first,
                                          const LogSaid& said) {
  control::Bundle bundle = TRY(control::read_bundle(path));
  const control::Config& now = bundle.config;
  if (now.data != first.data) {
    return failure(Error::kConflict,
                   "the data directory cannot be another while the gatehouse runs; stop it first");
  }
  control::HouseSecrets secrets = TRY(control::read_house_secrets(now));
  supervisor::ConfigRead read{std::move(bundle.memory), TRY(control::secrets_memory(secrets)),
                              form_of(now, said),       ports_of(now),
                              now.telemetry.access_log, {}};
  if (now.host != first.host) read.at_restart.emplace_back("host");
  // Whether there is an exporter is of the start.
  if (now.telemetry.is_wanted() && !first.telemetry.is_wanted()) {
    if (!now.telemetry.url.empty()) read.at_restart.emplace_back("otlp");
    if (!now.telemetry.access_log.empty()) read.at_restart.emplace_back("access_log");
    read.access_log.clear();
  }
  const auto& attach = now.attach;
  // Whether agents outside of sandboxes are let in at all.
  if (attach.at.empty() != first.attach.at.empty()) read.at_restart.emplace_back("attach.listen");
  if (attach.token_life_s != first.attach.token_life_s) {
    read.at_restart.emplace_back("attach.token_seconds");
  }
  return read;
}

Result<void> up(const cli::UpRequest& request) {
  const std::string& config = request.config;
  const control::Config read = TRY(control::load_config(config));
  House house{request.data, config, TRY(roles_directory()), {}, {}, ports_of(read), {}};
  house.concessions = {request.limits_best_effort.value_or(read.host.limits_best_effort),
                       request.no_landlock || read.host.no_landlock};
  const char* by_environment = std::getenv("GATEHOUSE_LOG");
  const LogSaid said{request.log, by_environment == nullptr ? "" : by_environment};
  house.log = form_of(read, said);
  house.access_log = read.telemetry.access_log;
  house.exports = read.telemetry.is_wanted();
  house.read_config = [&] { return read_again(config, read, said); };
  return run_house(house);
}

}  // namespace
}  // namespace gatehouse::bin

int main(int argc, char** argv) {
  using namespace gatehouse;
  return cli::run_cli(argc, argv,
                      {bin::data_of, bin::check_config, control::config_schema, bin::config_errors,
                       control::redacted_config, control::example_config, control::json_of_yaml,
                       bin::rehearsed_state, bin::check_kills, host::enter_house_of,
                       host::enter_house_to_be, bin::up});
}
