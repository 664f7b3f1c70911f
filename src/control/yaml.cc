// SPDX-License-Identifier: Apache-2.0
#include "control/yaml.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <numeric>

#include "base/encoding.h"
#include "base/result.h"

namespace gatehouse::control {
namespace {

constexpr int kDepthMost = 16;
constexpr std::size_t kNodesMost = 100'000;
constexpr std::size_t kShownMost = 80;  // of a value, in a message

std::string shown(std::string_view text) {
  std::string out = printable(text.substr(0, kShownMost));
  std::replace(out.begin(), out.end(), '\n', ' ');
  return text.size() > kShownMost ? out + "..." : out;
}

Problem problem_at(const YAML::Mark& mark, std::string what) {
  return {mark.line + 1, mark.column + 1, std::move(what), ProblemKind::kNotYaml};
}

class Copier {
 public:
  Result<Yaml> copy(const YAML::Node& node, int depth) {
    Yaml out;
    out.line = node.Mark().line + 1;
    out.column = node.Mark().column + 1;
    if (depth > kDepthMost || ++nodes_ > kNodesMost) {
      return failure(Error::kTooLarge, "the file nests too deeply or has too many values");
    }
    if (node.IsScalar()) {
      out.type = Yaml::Type::kScalar;
      out.text = node.Scalar();
      out.quoted = node.Tag() == "!";
    } else if (node.IsSequence()) {
      out.type = Yaml::Type::kList;
      for (const auto& item : node) out.items.push_back(TRY(copy(item, depth + 1)));
    } else if (node.IsMap()) {
      out.type = Yaml::Type::kMap;
      for (const auto& member : node) {
        Yaml key = TRY(copy(member.first, depth + 1));
        out.members.push_back({std::move(key), TRY(copy(member.second, depth + 1))});
      }
    }
    return out;
  }

 private:
  std::size_t nodes_ = 0;
};

std::string_view name_of(const Yaml& node) {
  switch (node.type) {
    case Yaml::Type::kNothing:
      return "nothing";
    case Yaml::Type::kScalar:
      return "a single value";
    case Yaml::Type::kList:
      return "a list";
    case Yaml::Type::kMap:
      return "a mapping";
  }
  return "";
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The integers, floats and booleans of YAML 1.2's core schema (section 10.3.2).
std::string_view number_or_boolean(std::string_view text) {
  for (const std::string_view word : {"true", "True", "TRUE", "false", "False", "FALSE"}) {
    if (text == word) return "a boolean";
  }
  for (const std::string_view word : {".nan", ".NaN", ".NAN"}) {
    if (text == word) return "a number";
  }
  const auto all_of = [](std::string_view digits, std::string_view allowed) {
    return !digits.empty() && digits.find_first_not_of(allowed) == std::string_view::npos;
  };
  if (text.starts_with("0x") && all_of(text.substr(2), "0123456789abcdefABCDEF")) return "a number";
  if (text.starts_with("0o") && all_of(text.substr(2), "01234567")) return "a number";
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  for (const std::string_view word : {".inf", ".Inf", ".INF"}) {
    if (text == word) return "a number";
  }
  constexpr std::string_view kDigits = "0123456789";
  std::string_view mantissa = text.substr(0, text.find_first_of("eE"));
  if (mantissa.size() < text.size()) {
    std::string_view exponent = text.substr(mantissa.size() + 1);
    if (exponent.starts_with('-') || exponent.starts_with('+')) exponent.remove_prefix(1);
    if (!all_of(exponent, kDigits)) return "";
  }
  const std::size_t point = mantissa.find('.');
  const std::string_view whole = mantissa.substr(0, point);
  if (point == std::string_view::npos) return all_of(whole, kDigits) ? "a number" : "";
  const std::string_view part = mantissa.substr(point + 1);
  const bool is_number = (all_of(whole, kDigits) && (part.empty() || all_of(part, kDigits)))
                         || (whole.empty() && all_of(part, kDigits));
  return is_number ? "a number" : "";
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

// The line of a document marker (YAML 1.2 section 9.1) behind the first content; 0: there is none.
int second_document(std::string_view text) {
  bool has_content = false;
  int line = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1);
    const std::string_view here = text.substr(0, end + 1);
    text.remove_prefix(end + 1);
    ++line;
    const bool is_marker = (here.starts_with("---") || here.starts_with("..."))
                           && (here.size() == 3 || std::string_view(" \t\r\n").contains(here[3]));
    if (is_marker && (has_content || here[0] == '.')) return line;
    const std::size_t first = here.find_first_not_of(" \t\r\n");
    has_content = has_content || is_marker
                  || (first != std::string_view::npos && here[first] != '#' && here[0] != '%');
  }
  return 0;
}

}  // namespace

std::expected<Yaml, Problem> parse_yaml(std::string_view text) {
  if (!is_utf8(text))
    return std::unexpected(Problem{0, 0, "the file is not UTF-8", ProblemKind::kNotYaml});
  try {
    // Not YAML::LoadAll, which never ends on some texts that are no YAML.
    if (const int line = second_document(text); line > 0) {
      return std::unexpected(Problem{line, 1,
                                     "a second document begins here; put everything into one",
                                     ProblemKind::kNotYaml});
    }
    const YAML::Node document = YAML::Load(std::string(text));
    if (!document.IsDefined() || document.IsNull()) return Yaml{};
    auto copied = Copier().copy(document, 0);
    if (!copied) {
      return std::unexpected(Problem{0, 0, copied.error().message(), ProblemKind::kTooLarge});
    }
    return *std::move(copied);
  } catch (const YAML::Exception& error) {
    return std::unexpected(problem_at(error.mark, "this is not YAML: " + error.msg));
  } catch (const std::exception& error) {
    return std::unexpected(
        Problem{0, 0, fmt::format("this is not YAML: {}", error.what()), ProblemKind::kNotYaml});
  }
}

Section::Section(const Yaml& node, std::string_view what, Problems& problems)
    : node_(node), what_(what), problems_(problems) {
  if (node.type != Yaml::Type::kMap) {
    problems_.push_back(
        {node.line, node.column,
         fmt::format("{} is a mapping of keys to values, and this is {}", what_, name_of(node)),
         ProblemKind::kWrongType});
  }
}

const Yaml* Section::value(std::string_view key, Need need) {
  asked_.emplace_back(key);
  const Yaml* found = nullptr;
  for (const auto& [name, value] : node_.members) {
    if (name.text == key && found == nullptr) found = &value;
  }
  if (found == nullptr && need == Need::kRequired && node_.type == Yaml::Type::kMap) {
    problems_.push_back({node_.line, node_.column, fmt::format("{} needs {}", what_, key),
                         ProblemKind::kMissingKey});
  }
  return found;
}

const Yaml* Section::of_type(std::string_view key, Yaml::Type type, std::string_view wanted,
                             Need need) {
  const Yaml* found = value(key, need);
  if (found == nullptr || found->type == type) return found;
  problems_.push_back({found->line, found->column,
                       fmt::format("{} must be {}, and this is {}", key, wanted, name_of(*found)),
                       ProblemKind::kWrongType});
  return nullptr;
}

std::optional<std::string> Section::string(std::string_view key, Need need) {
  const Yaml* found = of_type(key, Yaml::Type::kScalar, "a string", need);
  if (found == nullptr) return std::nullopt;
  if (found->text.contains('\0')) {
    problem(key, fmt::format("{} holds a zero byte", key));
    return std::nullopt;
  }
  if (is_number_or_boolean(*found)) {
    problem(key,
            fmt::format("{0} must be a string, and YAML reads this as {1}; write \"{2}\"", key,
                        number_or_boolean(found->text), shown(found->text)),
            ProblemKind::kWrongType);
    return std::nullopt;
  }
  return found->text;
}

std::string Section::string_or(std::string_view key, std::string_view fallback) {
  return string(key, Need::kOptional).value_or(std::string(fallback));
}

bool Section::boolean_or(std::string_view key, bool fallback) {
  const Yaml* found = of_type(key, Yaml::Type::kScalar, "true or false", Need::kOptional);
  if (found == nullptr) return fallback;
  if (!found->quoted && found->text == "true") return true;
  if (!found->quoted && found->text == "false") return false;
  problem(key, fmt::format("{} must be true or false, and this is \"{}\"", key, shown(found->text)),
          ProblemKind::kWrongType);
  return fallback;
}

std::uint64_t Section::number_or(std::string_view key, std::uint64_t fallback, std::uint64_t most) {
  const Yaml* found = of_type(key, Yaml::Type::kScalar, "a number", Need::kOptional);
  if (found == nullptr) return fallback;
  const auto number = number_in(found->text);
  if (number && !found->quoted && *number <= most) return *number;
  problem(key, fmt::format("{} must be a whole number of at most {}, and this is \"{}\"", key, most,
                           shown(found->text)));
  return fallback;
}

std::uint64_t Section::bytes_or(std::string_view key, std::uint64_t fallback) {
  const Yaml* found = of_type(key, Yaml::Type::kScalar, "a size", Need::kOptional);
  if (found == nullptr) return fallback;
  std::string_view digits = found->text;
  unsigned shift = 0;
  for (const auto& [unit, bits] :
       {std::pair{"KiB", 10U}, {"MiB", 20U}, {"GiB", 30U}, {"TiB", 40U}}) {
    if (!digits.ends_with(unit)) continue;
    digits.remove_suffix(3);
    shift = bits;
    break;
  }
  while (digits.ends_with(' ')) digits.remove_suffix(1);
  const auto number = number_in(digits);
  if (number && *number <= (std::numeric_limits<std::uint64_t>::max() >> (shift + 1))) {
    return *number << shift;
  }
  problem(key, fmt::format("{} must be a size like 512MiB or 2GiB, and this is \"{}\"", key,
                           shown(found->text)));
  return fallback;
}

std::size_t Section::word(std::string_view key, const std::vector<std::string_view>& allowed,
                          Need need) {
  const Yaml* found =
      of_type(key, Yaml::Type::kScalar, fmt::format("one of {}", fmt::join(allowed, ", ")), need);
  if (found == nullptr) return 0;
  const auto place = std::find(allowed.begin(), allowed.end(), found->text);
  if (place != allowed.end()) return static_cast<std::size_t>(place - allowed.begin());
  problem(key, fmt::format("{} must be one of {}, and this is \"{}\"", key,
                           fmt::join(allowed, ", "), shown(found->text)));
  return 0;
}

const std::vector<Yaml>& Section::list(std::string_view key) {
  static const std::vector<Yaml> kNone;
  const Yaml* found = of_type(key, Yaml::Type::kList, "a list", Need::kOptional);
  return found == nullptr ? kNone : found->items;
}

const std::vector<YamlMember>& Section::map(std::string_view key) {
  static const std::vector<YamlMember> kNone;
  const Yaml* found = of_type(key, Yaml::Type::kMap, "a mapping", Need::kOptional);
  return found == nullptr ? kNone : found->members;
}

std::vector<std::string> Section::strings(std::string_view key) {
  std::vector<std::string> out;
  for (const Yaml& item : list(key)) {
    if (item.type == Yaml::Type::kScalar && !item.text.contains('\0')
        && !is_number_or_boolean(item)) {
      out.push_back(item.text);
      continue;
    }
    const bool plain = item.type == Yaml::Type::kScalar && is_number_or_boolean(item);
    problems_.push_back({item.line, item.column,
                         fmt::format("{} is a list of strings, and this item is {}", key,
                                     plain ? number_or_boolean(item.text) : name_of(item)),
                         ProblemKind::kWrongType});
  }
  return out;
}

void Section::problem(std::string_view key, std::string what, ProblemKind kind) {
  const Yaml* place = &node_;
  for (const auto& [name, value] : node_.members) {
    if (name.text == key) place = &value;
  }
  problems_.push_back({place->line, place->column, std::move(what), kind});
}

void Section::finish() {
  std::vector<std::string> seen;
  for (const auto& [name, value] : node_.members) {
    if (name.type != Yaml::Type::kScalar) {
      problems_.push_back({name.line, name.column, fmt::format("a key of {} must be a word", what_),
                           ProblemKind::kUnknownKey});
    } else if (std::find(asked_.begin(), asked_.end(), name.text) == asked_.end()) {
      const auto meant = nearest(name.text, asked_);
      problems_.push_back({name.line, name.column,
                           fmt::format("unknown key \"{}\"{}; {} may have: {}", shown(name.text),
                                       meant ? fmt::format(", did you mean \"{}\"?", *meant) : "",
                                       what_, fmt::join(asked_, ", ")),
                           ProblemKind::kUnknownKey});
    } else if (std::find(seen.begin(), seen.end(), name.text) != seen.end()) {
      problems_.push_back({name.line, name.column,
                           fmt::format("\"{}\" is given twice", shown(name.text)),
                           ProblemKind::kGivenTwice});
    }
    seen.push_back(name.text);
  }
}

bool is_number_or_boolean(const Yaml& node) {
  return node.type == Yaml::Type::kScalar && !node.quoted && !number_or_boolean(node.text).empty();
}

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known) {
  if (word.size() > kShownMost) return std::nullopt;
  std::optional<std::string> best;
  std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < least && distance < candidate.size()) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace gatehouse::control
