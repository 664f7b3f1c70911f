// SPDX-License-Identifier: Apache-2.0
#include "control/problem.h"

#include <fmt/format.h>

#include <array>

namespace gatehouse::control {
namespace {

constexpr std::array kRows = {
    ProblemRow{ProblemKind::kNotYaml, "config_not_yaml",
               "the file is not one YAML document in UTF-8",
               "correct the place that is named; YAML indents with spaces, and what holds "
               "\": \" or begins with one of {[*&!|>%@ needs quotes"},
    ProblemRow{ProblemKind::kTooLarge, "config_too_large",
               "the file, a list in it or its nesting is larger than what is read",
               "leave out what is not used; lists have at most 4096 items, the file 1 MiB"},
    ProblemRow{ProblemKind::kMissingKey, "config_missing_key",
               "a mapping lacks a key that it must have", "add the key that is named"},
    ProblemRow{ProblemKind::kUnknownKey, "config_unknown_key",
               "a mapping has a key that nothing reads: it is misspelt, or in the wrong place",
               "use the key that is suggested, or remove it; `gatehouse config schema` has all"},
    ProblemRow{ProblemKind::kGivenTwice, "config_given_twice",
               "a key, a name or a service's place is there twice", "remove or rename one of them"},
    ProblemRow{ProblemKind::kWrongType, "config_wrong_type",
               "a value is of another type than its key wants",
               "write the type that is named; text that looks like a number or a boolean needs "
               "quotes"},
    ProblemRow{ProblemKind::kWrongValue, "config_wrong_value",
               "a value is not one of those that its key may have",
               "write one as the message describes it"},
    ProblemRow{ProblemKind::kWrongTogether, "config_wrong_together",
               "each key may be there, but not with the others beside it",
               "remove the one that does not belong, or add the one that is needed with it"},
    ProblemRow{ProblemKind::kUnknownName, "config_unknown_name",
               "a name refers to a tenant, service or credential that the file does not have",
               "correct the name, or add what it refers to"},
    ProblemRow{ProblemKind::kUnreadableFile, "config_unreadable_file",
               "a file that the config names cannot be read, or is not what it should be",
               "check that the path (relative to the config) exists and who may read it"},
};

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<std::size_t>(kRows[i].kind) != i) return false;
  }
  return true;
}
static_assert(rows_are_in_order());

}  // namespace

const ProblemRow& row_of(ProblemKind kind) { return kRows.at(static_cast<std::size_t>(kind)); }

std::span<const ProblemRow> problem_rows() { return kRows; }

std::string Problem::text(std::string_view file) const {
  if (line == 0) return fmt::format("{}: {}", file, what);
  return fmt::format("{}:{}:{}: {}", file, line, column, what);
}

}  // namespace gatehouse::control
