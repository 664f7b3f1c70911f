// SPDX-License-Identifier: Apache-2.0
#include "exporter/access_line.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "base/time.h"
#include "exporter/names.h"
#include "wire/json.h"

namespace gatehouse::exporter {
namespace {

using audit::Entry;
using audit::Kind;

// Of a text, in bytes: the first with which a line is not too long. With the last, none is, however
// much of it has to be escaped.
constexpr std::array<std::size_t, 3> kValueMost = {1024, 256, 16};

std::string_view outcome_of(const Entry& entry) {
  if (entry.kind != Kind::kSettled) return "refused";
  const auto state = entry.tag("state");
  return state.empty() ? "cut" : state;
}

void add(wire::JsonWriter& out, const Name& name, std::string_view value, std::size_t most) {
  std::int64_t number = 0;
  const auto [end, why] = std::from_chars(value.data(), value.data() + value.size(), number);
  const bool is_number = why == std::errc() && end == value.data() + value.size();
  switch (name.form) {
    case Form::kText:
    case Form::kList:
      out.key(name.field).string(value.substr(0, most));
      return;
    case Form::kTruth:
      out.key(name.field).boolean(value == "true");
      return;
    case Form::kNumber:
      if (is_number) out.key(name.field).integer(number);
      return;
    case Form::kSeconds:
      if (is_number) {
        out.key(name.field).raw(fmt::format("{:.3f}", static_cast<double>(number) * 1e-3));
      }
  }
}

std::string line_of(const Entry& entry, std::size_t most) {
  wire::JsonWriter out;
  out.begin_object().key("time").string(WallTime(entry.wall_ns).text());
  out.key("outcome").string(outcome_of(entry).substr(0, most));
  out.key("tenant").string(std::string_view(entry.tenant).substr(0, most));
  if (entry.run) out.key("run").string(entry.run->text());
  if (entry.exchange) out.key("exchange").string(entry.exchange->text());
  if (entry.trace != TraceId{}) out.key("trace").string(entry.trace.text());
  if (entry.span != SpanId{}) out.key("span").string(entry.span.text());
  for (const Name& name : kNames) {
    if (name.field.empty()) continue;
    const auto value = entry.tag(name.tag);
    if (!value.empty()) add(out, name, value, most);
  }
  if (const auto error = entry.tag("error"); !error.empty()) {
    out.key("error").string(error.substr(0, most));
  }
  if (most < kValueMost.front()) out.key("truncated").boolean(true);
  out.end_object();
  return std::move(out).text() + "\n";
}

}  // namespace

std::optional<std::string> access_line(const Entry& entry) {
  const bool is_refused =
      entry.kind == Kind::kRefused || (entry.kind == Kind::kAlarm && entry.tag("ruling") == "deny");
  if (entry.kind != Kind::kSettled && !is_refused) return std::nullopt;
  std::string line;
  for (const std::size_t most : kValueMost) {
    line = line_of(entry, most);
    if (line.size() <= kLineMost) break;
  }
  return line;
}

}  // namespace gatehouse::exporter
