// SPDX-License-Identifier: Apache-2.0
// What the command says of itself: its verbs as a tree, which help, completion and the checks of
// the documents are made of, so that none can say something else.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/cli.h"
#include "cli/output.h"

namespace gatehouse::cli {

struct OptionWords {
  std::vector<std::string> names;  // "--agent", "-a"; of a positional its name alone
  std::string what;
  bool takes_value = false;
  bool repeats = false;  // a positional that takes all the rest
};

struct VerbWords {
  std::string path;                // "/audit/verify"; "" for the command itself
  std::vector<std::string> names;  // and aliases
  std::string what;
  std::vector<OptionWords> options;
  std::vector<OptionWords> positionals;
  std::vector<VerbWords> verbs;
};

[[nodiscard]] std::string json_of(const VerbWords& command);
// A script that completes the command's words. `shell`: bash, zsh or fish.
[[nodiscard]] std::string completion_for(const std::string& shell, const VerbWords& command);
// The error catalogue; of these codes, if any are named. Errors: kNotFound.
[[nodiscard]] Result<int> help_errors(const std::vector<std::string>& codes, Form form,
                                      const Wiring& wiring);

}  // namespace gatehouse::cli
