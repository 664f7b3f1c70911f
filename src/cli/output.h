// SPDX-License-Identifier: Apache-2.0
// What the verbs print: aligned tables for people, JSON for programs. What came from elsewhere is
// made printable, so that it cannot steer the terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace gatehouse::cli {

enum class Form : std::uint8_t { kTable, kJson };

// A table of strings; in JSON, a list of objects with the columns' names.
class Table {
 public:
  explicit Table(std::vector<std::string> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  [[nodiscard]] std::string text(Form form) const;

 private:
  std::vector<std::string> columns_;
  std::vector<std::vector<std::string>> rows_;
};

using Value = std::variant<std::string, std::uint64_t, bool>;
using Members = std::vector<std::pair<std::string, Value>>;

// One object, and for people the sentence.
[[nodiscard]] std::string told(Form form, std::string_view sentence, const Members& members);
// `gatehouse: what. What to do` on standard error (JSON: an object); returns the exit status.
int complain(Form form, const Error& error);
void print(std::string_view text);

// How a command ended, of its status as a shell has it (128+n: signal n): "exit 0", "SIGKILL".
[[nodiscard]] std::string outcome_of(std::int32_t exit_status);
// A line for each layer and limit that this host does not enforce, and for why no run starts ("":
// they do), for people to see wherever runs are listed.
[[nodiscard]] std::vector<std::string> lacks(const std::vector<std::string>& not_enforced,
                                             std::string_view no_sandbox);
// The same on standard error, beside a list, so that what reads the list reads nothing else.
void tell_lacks(Form form, const std::vector<std::string>& not_enforced);
// RFC 3339; "" for 0.
[[nodiscard]] std::string time_of(std::int64_t unix_ms);

}  // namespace gatehouse::cli
