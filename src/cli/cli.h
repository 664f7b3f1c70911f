// SPDX-License-Identifier: Apache-2.0
// The verbs of `gatehouse`. What belongs to a role (reading the config, being the supervisor) is
// given by main, so that the CLI links no role.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gatehouse::cli {

// What a config is wrong with: where, of which kind, and what to do.
struct ConfigProblem {
  int line = 0;  // from 1; 0: the file as a whole
  int column = 0;
  std::string code;
  std::string what;
  std::string remedy;
};
struct ConfigReport {
  std::string data;  // the data directory, when there is no problem
  std::vector<ConfigProblem> problems;
};

// A kind of what a config can be wrong with, for the error catalogue.
struct ConfigErrorRow {
  std::string code;
  std::string cause;
  std::string remedy;
};
// What stands for a text that is not shown.
using Pseudonym = std::function<std::string(std::string_view)>;

// What a start would make of a state store, tried on a copy.
struct StateRehearsed {
  std::uint64_t version = 0;  // that it was of
  std::uint64_t live_runs = 0;
  std::uint64_t takes_ms = 0;  // its migration; 0 where there is none
};

// What `up` is asked for beside the config; each stands above what that says.
struct UpRequest {
  std::string data;    // absolute
  std::string config;  // absolute
  std::string log;     // "text", "json", or "" for what the config says
  std::optional<bool> limits_best_effort;
  bool no_landlock = false;
};

struct Wiring {
  // The data directory that a valid config names. Errors: every problem of the file, a line each.
  std::function<Result<std::string>(const std::string& config)> data_of;
  // Errors: that it cannot be read at all.
  std::function<Result<ConfigReport>(const std::string& config)> check_config;
  std::function<std::string_view()> config_schema;
  std::function<std::vector<ConfigErrorRow>()> config_errors;
  // As JSON, without names and texts; "null" when it is no YAML.
  std::function<std::string(const std::string& config, const Pseudonym&)> redacted_config;
  // The commented config that `init` writes.
  std::function<Result<std::string>(std::string_view data, std::string_view admin)> example_config;
  // A YAML text as JSON. Errors: kInvalid.
  std::function<Result<std::string>(std::string_view yaml)> json_of_yaml;
  // `copy` is a database file that may be changed; "" for no config. Errors: kCorrupt, kUnsupported
  // for one of a newer gatehouse; what the start would say of the two together.
  std::function<Result<StateRehearsed>(const std::string& copy, const std::string& config)>
      rehearse_state;
  // Errors: kCorrupt, kUnsupported for one of a newer gatehouse.
  std::function<Result<void>(std::string_view text)> check_kills;
  // host/footing.h: goes to where a house's user can read what its roles have, if that is theirs.
  std::function<Result<void>(const std::string& folder)> enter_house_of;
  std::function<Result<void>(std::uint32_t vault_uid)> enter_house_to_be;
  // Runs the house in the foreground. Errors: everything that keeps it from starting.
  std::function<Result<void>(const UpRequest&)> up;
};

// Returns the exit status: 0, base's table for errors, or that of the command of `run`.
[[nodiscard]] int run_cli(int argc, char** argv, const Wiring& wiring);

}  // namespace gatehouse::cli
