// SPDX-License-Identifier: Apache-2.0
// The verbs of `gatehouse`. What belongs to a role (reading the config, being the supervisor) is
// given by main, so that the CLI links no role.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gatehouse::cli {

struct Wiring {
  // The data directory that a valid config names. Errors: every problem of the file, a line each.
  std::function<Result<std::string>(const std::string& config)> data_of;
  // The commented config that `init` writes.
  std::function<std::string(std::string_view data)> example_config;
  // A YAML text as JSON. Errors: kInvalid.
  std::function<Result<std::string>(std::string_view yaml)> json_of_yaml;
  // Runs the house in the foreground. Both absolute.
  std::function<Result<void>(const std::string& data, const std::string& config)> up;
};

// Returns the exit status: 0, base's table for errors, or that of the command of `run`.
[[nodiscard]] int run_cli(int argc, char** argv, const Wiring& wiring);

}  // namespace gatehouse::cli
