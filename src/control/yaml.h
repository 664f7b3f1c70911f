// SPDX-License-Identifier: Apache-2.0
// A YAML document as a plain tree with positions, and the strict way to take it apart: what is not
// asked for is an error. Bounded in size, depth and, because aliases multiply, in nodes.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/problem.h"

namespace gatehouse::control {

struct YamlMember;

struct Yaml {
  enum class Type : std::uint8_t { kNothing, kScalar, kList, kMap };
  Type type = Type::kNothing;
  std::string text;     // of a scalar
  bool quoted = false;  // a quoted scalar is a string, whatever it looks like
  std::vector<Yaml> items;
  std::vector<YamlMember> members;  // in order; keys may repeat
  int line = 1;
  int column = 1;
};

struct YamlMember {
  Yaml key;
  Yaml value;
};

// One document. Errors: what the YAML reader says, with its place.
[[nodiscard]] std::expected<Yaml, Problem> parse_yaml(std::string_view text);

enum class Need : std::uint8_t { kRequired, kOptional };

// One mapping that is being taken apart. The keys that were asked for are those allowed; `finish`
// reports the others. A value of another type is reported and reads as absent.
class Section {
 public:
  // `what` names the mapping in messages: "a service".
  Section(const Yaml& node, std::string_view what, Problems& problems);

  // Text. A plain scalar that YAML reads as a number or a boolean is none (YAML 1.2
  // section 10.3.2): an editor with the schema and this agree.
  [[nodiscard]] std::optional<std::string> string(std::string_view key, Need need);
  [[nodiscard]] std::string string_or(std::string_view key, std::string_view fallback);
  [[nodiscard]] bool boolean_or(std::string_view key, bool fallback);
  // A whole number of at most `most`.
  [[nodiscard]] std::uint64_t number_or(std::string_view key, std::uint64_t fallback,
                                        std::uint64_t most);
  // A size in bytes: a number, or one with KiB, MiB, GiB or TiB.
  [[nodiscard]] std::uint64_t bytes_or(std::string_view key, std::uint64_t fallback);
  // One of the words of `allowed`; its index. Absent: 0.
  [[nodiscard]] std::size_t word(std::string_view key, const std::vector<std::string_view>& allowed,
                                 Need need);
  [[nodiscard]] std::vector<std::string> strings(std::string_view key);
  // The items of a list; the members of a map. Empty when absent.
  [[nodiscard]] const std::vector<Yaml>& list(std::string_view key);
  [[nodiscard]] const std::vector<YamlMember>& map(std::string_view key);
  // The value itself; null when absent.
  [[nodiscard]] const Yaml* value(std::string_view key, Need need = Need::kOptional);

  // At the value of `key` if it is there, else at the mapping.
  void problem(std::string_view key, std::string what, ProblemKind = ProblemKind::kWrongValue);
  void finish();

 private:
  [[nodiscard]] const Yaml* of_type(std::string_view key, Yaml::Type type, std::string_view wanted,
                                    Need need);
  const Yaml& node_;
  std::string what_;
  Problems& problems_;
  std::vector<std::string> asked_;
};

// Whether it is a plain scalar that YAML reads as a number or a boolean.
[[nodiscard]] bool is_number_or_boolean(const Yaml& node);

// The word of `known` with the least edit distance, if it is near enough to be what was meant.
[[nodiscard]] std::optional<std::string> nearest(std::string_view word,
                                                 const std::vector<std::string>& known);

}  // namespace gatehouse::control
