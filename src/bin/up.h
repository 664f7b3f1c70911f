// SPDX-License-Identifier: Apache-2.0
// `gatehouse up`: the data directory made ready, and the supervisor over all roles.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "host/footing.h"
#include "supervisor/supervisor.h"

namespace gatehouse::bin {

struct House {
  std::string data;         // the data directory, absolute
  std::string config;       // gatehouse.yaml, absolute
  std::string executables;  // where the roles' executables lie
  LogForm log = LogForm::kText;
  std::function<Result<supervisor::ConfigRead>()> read_config;  // again, while the house runs
  supervisor::PortAddresses ports;
  std::string access_log;  // as supervisor::Settings has it
  bool exports = false;    // there is an exporter
  host::Concessions concessions;
};

// Where the roles' executables lie: beside the command in a build tree, else where the installation
// puts them, seen from the command's directory. Errors: kNotFound.
[[nodiscard]] Result<std::string> roles_directory();

// Runs in the foreground until SIGINT or SIGTERM. Errors: kInvalid, kDenied with what to do.
[[nodiscard]] Result<void> run_house(const House& house);

}  // namespace gatehouse::bin
