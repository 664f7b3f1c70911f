// SPDX-License-Identifier: Apache-2.0
// What is said of an adoption: never a key, only whose it is, its length and its last characters.
#pragma once

#include <string>
#include <vector>

#include "cli/adopt/folder.h"
#include "cli/adopt/plan.h"
#include "cli/output.h"

namespace gatehouse::cli::adopt {

struct Report {
  std::string path;
  std::string layout;
  std::string agent;
  const std::vector<Finding>* found = nullptr;
  const Plan* plan = nullptr;
  const HouseFacts* facts = nullptr;
  Copies copies;
  std::string record;  // the file by which it is undone
  std::vector<std::string> notes;
  bool is_dry = false;
  bool creates = false;
};

// For a person, or as JSON.
[[nodiscard]] std::string text_of(const Report& report, Form form);

}  // namespace gatehouse::cli::adopt
