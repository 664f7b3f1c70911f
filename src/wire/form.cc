// SPDX-License-Identifier: Apache-2.0
#include "wire/form.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "wire/characters.h"

namespace gatehouse::wire {
namespace {

constexpr std::string_view kFormType = "multipart/form-data";
constexpr std::size_t kBoundaryMost = 70;  // RFC 2046 section 5.1.1

Failure broken(std::string_view what) {
  return failure(Error::kInvalid, fmt::format("a form {}", what));
}

// `;name=value` with a token or a quoted string that needs no escape.
struct Parameter {
  std::string_view name;
  std::string_view value;
};

// Takes the next parameter off; nothing where there is none left.
Result<std::optional<Parameter>> next_parameter(std::string_view& rest) {
  rest = trimmed(rest);
  if (rest.empty()) return std::nullopt;
  if (rest.front() != ';') return broken("with parameters that are not separated");
  rest = trimmed(rest.substr(1));
  if (rest.empty()) return std::nullopt;  // one that ends with a semicolon
  const std::size_t equals = rest.find('=');
  const std::string_view name = rest.substr(0, equals);
  if (equals == std::string_view::npos || name.empty() || !all_are(kTokenChar, name)) {
    return broken("with a parameter that has no value");
  }
  rest.remove_prefix(equals + 1);
  if (!rest.starts_with('"')) {
    const std::size_t end = std::min(rest.find_first_of("; \t"), rest.size());
    const std::string_view value = rest.substr(0, end);
    if (value.empty() || !all_are(kTokenChar, value))
      return broken("with a parameter that is no token");
    rest.remove_prefix(end);
    return Parameter{name, value};
  }
  const std::size_t end = rest.find('"', 1);
  if (end == std::string_view::npos) return broken("with a parameter that has no end");
  const std::string_view value = rest.substr(1, end - 1);
  // A backslash in a file's name is one of a path; that none hides a quote, or changes another
  // parameter, is for all readers to agree on.
  const bool is_path = equal_ignoring_case(name, "filename") && !value.ends_with('\\');
  if (value.contains('\\') && !is_path) return broken("with an escape in a parameter");
  rest.remove_prefix(end + 1);
  return Parameter{name, value};
}

Result<std::string> delimiter_of(std::string_view content_type) {
  if (!is_form(content_type)) return broken("is multipart/form-data");
  std::string_view rest = content_type.substr(kFormType.size());
  std::optional<std::string_view> boundary;
  while (const auto parameter = TRY(next_parameter(rest))) {
    if (!equal_ignoring_case(parameter->name, "boundary")) continue;
    if (boundary) return broken("with two boundaries");
    boundary = parameter->value;
  }
  if (!boundary || boundary->empty() || boundary->size() > kBoundaryMost
      || boundary->ends_with(' ')) {
    return broken("has a boundary of 1 to 70 characters");
  }
  return "\r\n--" + std::string(*boundary);
}

Result<void> read_disposition(std::string_view value, FormField& into) {
  constexpr std::string_view kDisposition = "form-data";
  if (!equal_ignoring_case(value.substr(0, kDisposition.size()), kDisposition)) {
    return broken("with a part that is no form-data");
  }
  std::string_view rest = value.substr(kDisposition.size());
  bool is_named = false;
  while (const auto parameter = TRY(next_parameter(rest))) {
    if (equal_ignoring_case(parameter->name, "name")) {
      if (std::exchange(is_named, true)) return broken("with a part of two names");
      into.name = parameter->value;
    } else if (equal_ignoring_case(parameter->name, "filename")
               || equal_ignoring_case(parameter->name, "filename*")) {
      into.is_file = true;
    } else {
      return broken("with a part that says more than a name and a file's");
    }
  }
  if (!is_named || into.name.empty()) return broken("with a part that has no name");
  return {};
}

// One part, from behind its delimiter's line: its fields, an empty line, its value.
Result<FormField> read_part(std::string_view part) {
  FormField field;
  bool is_disposed = false;
  while (true) {
    const std::size_t end = part.find("\r\n");
    if (end == std::string_view::npos) return broken("with a part whose head has no end");
    const std::string_view line = part.substr(0, end);
    part.remove_prefix(end + 2);
    if (line.empty()) break;
    if (line.find_first_of("\r\n") != std::string_view::npos) return broken("with a bare CR or LF");
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    if (colon == std::string_view::npos || name.empty() || !all_are(kTokenChar, name)) {
      return broken("with a line that is no field");
    }
    if (equal_ignoring_case(name, "content-transfer-encoding")) {
      return broken("with a transfer encoding, which RFC 7578 forbids");
    }
    if (!equal_ignoring_case(name, "content-disposition")) continue;
    if (std::exchange(is_disposed, true)) return broken("with a part of two dispositions");
    TRY(read_disposition(trimmed(line.substr(colon + 1)), field));
  }
  if (!is_disposed) return broken("with a part that has no disposition");
  field.value = part;
  return field;
}

}  // namespace

bool is_form(std::string_view content_type) {
  if (!equal_ignoring_case(content_type.substr(0, kFormType.size()), kFormType)) return false;
  const std::string_view rest = trimmed(content_type.substr(kFormType.size()));
  return rest.empty() || rest.front() == ';';
}

Result<std::vector<FormField>> form_fields(std::string_view content_type, std::string_view body) {
  const std::string delimiter = TRY(delimiter_of(content_type));
  const std::string_view first = std::string_view(delimiter).substr(2);
  if (!body.starts_with(first)) return broken("begins with its delimiter");
  body.remove_prefix(first.size());
  std::vector<FormField> fields;
  while (!body.starts_with("--")) {
    if (!body.starts_with("\r\n"))
      return broken("with more in a delimiter's line than the delimiter");
    const std::size_t end = body.find(delimiter);
    if (end == std::string_view::npos) return broken("with a part that has no end");
    // A part without any field would begin in the delimiter's own line end.
    if (end < 2) return broken("with an empty part");
    fields.push_back(TRY(read_part(body.substr(2, end - 2))));
    if (fields.size() > kFormFieldsMost) {
      return failure(Error::kTooMany, fmt::format("a form of more than {} parts", kFormFieldsMost));
    }
    body.remove_prefix(end + delimiter.size());
  }
  body.remove_prefix(2);
  if (!body.empty() && body != "\r\n") return broken("with something behind its end");
  return fields;
}

Result<const FormField*> only_field(const std::vector<FormField>& fields, std::string_view name) {
  const FormField* found = nullptr;
  for (const FormField& field : fields) {
    if (field.name != name) continue;
    if (found != nullptr) return broken(fmt::format("with several fields '{}'", name));
    if (field.is_file) return broken(fmt::format("whose field '{}' is a file", name));
    found = &field;
  }
  return found;
}

}  // namespace gatehouse::wire
