// SPDX-License-Identifier: Apache-2.0
// `gatehouse`, the one command that a person types.
#include <chrono>

#include "base/format_version.h"
#include "bin/up.h"
#include "cli/cli.h"
#include "control/bundle.h"
#include "control/config.h"
#include "control/present.h"
#include "control/redacted.h"
#include "control/store.h"
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

// What only a start reads must not look as if it were in force.
Result<supervisor::ConfigRead> read_again(const std::string& path, const control::Config& first) {
  control::Bundle bundle = TRY(control::read_bundle(path));
  const control::Config& now = bundle.config;
  if (now.data != first.data) {
    return failure(Error::kConflict,
                   "the data directory cannot be another while the gatehouse runs; stop it first");
  }
  supervisor::ConfigRead read{std::move(bundle.memory), {}};
  if (now.log_format != first.log_format) read.at_restart.emplace_back("log");
  if (now.metrics_listen != first.metrics_listen) read.at_restart.emplace_back("metrics");
  if (now.admin != first.admin) read.at_restart.emplace_back("admin");
  ipc::NetworkSpec was = first.network.spec;
  ipc::NetworkSpec is = now.network.spec;
  if (ipc::encode(is) != ipc::encode(was)
      || now.network.credentials_file != first.network.credentials_file) {
    read.at_restart.emplace_back("network");
  }
  return read;
}

Result<void> up(const std::string& data, const std::string& config, const std::string& log) {
  const control::Config read = TRY(control::load_config(config));
  House house{data, config, TRY(roles_directory()), {}, {}, read.metrics_listen, read.admin.at};
  house.log = log;
  if (log.empty() && read.log_format) {
    house.log = *read.log_format == control::LogFormat::kJson ? "json" : "text";
  }
  house.read_config = [&] { return read_again(config, read); };
  return run_house(house);
}

}  // namespace
}  // namespace gatehouse::bin

int main(int argc, char** argv) {
  using namespace gatehouse;
  return cli::run_cli(argc, argv,
                      {bin::data_of, bin::check_config, control::config_schema, bin::config_errors,
                       control::redacted_config, control::example_config, control::json_of_yaml,
                       bin::rehearsed_state, bin::check_kills, bin::up});
}
