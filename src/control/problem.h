// SPDX-License-Identifier: Apache-2.0
// What can be wrong with gatehouse.yaml, for the person who wrote it: where, what, of which kind,
// and what to do about that kind. The kinds are part of the error catalogue (docs/errors.md).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gatehouse::control {

enum class ProblemKind : std::uint8_t {
  kNotYaml,
  kTooLarge,
  kMissingKey,
  kUnknownKey,
  kGivenTwice,
  kWrongType,
  kWrongValue,
  kWrongTogether,
  kUnknownName,
  kUnreadableFile,
};

struct ProblemRow {
  ProblemKind kind;
  std::string_view label;   // machine-readable
  std::string_view cause;   // a sentence without its full stop
  std::string_view remedy;  // the same, in the imperative
};
[[nodiscard]] const ProblemRow& row_of(ProblemKind kind);
[[nodiscard]] std::span<const ProblemRow> problem_rows();

struct Problem {
  int line = 0;  // from 1; 0: the file as a whole
  int column = 0;
  std::string what;
  ProblemKind kind = ProblemKind::kWrongValue;
  [[nodiscard]] std::string text(std::string_view file) const;  // file:line:column: what
  friend bool operator==(const Problem&, const Problem&) = default;
};
using Problems = std::vector<Problem>;

}  // namespace gatehouse::control
