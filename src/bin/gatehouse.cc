// SPDX-License-Identifier: Apache-2.0
// `gatehouse`, the one command that a person types.
#include "bin/up.h"
#include "cli/cli.h"
#include "control/bundle.h"
#include "control/config.h"
#include "control/present.h"
#include "control/redacted.h"

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
  return cli::run_cli(
      argc, argv,
      {bin::data_of, bin::check_config, control::config_schema, bin::config_errors,
       control::redacted_config, control::example_config, control::json_of_yaml, bin::up});
}
