// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "base/encoding.h"
#include "base/time.h"
#include "wire/json.h"

namespace gatehouse::cli {
namespace {

std::string cell(std::string_view text) {
  std::string out = printable(text);
  std::replace(out.begin(), out.end(), '\n', ' ');
  std::replace(out.begin(), out.end(), '\t', ' ');
  return out;
}

// Code points, near enough to columns for what is shown here.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; }));
}

std::string json_row(const std::vector<std::string>& columns, const std::vector<std::string>& row) {
  wire::JsonWriter writer;
  writer.begin_object();
  for (std::size_t i = 0; i < columns.size(); ++i) writer.key(columns[i]).string(row[i]);
  writer.end_object();
  return std::move(writer).text();
}

}  // namespace

std::string Table::text(Form form) const {
  std::string out;
  if (form == Form::kJson) {
    out = "[";
    for (const auto& row : rows_) {
      out += (out.size() > 1 ? ",\n " : "") + json_row(columns_, row);
    }
    return out + "]\n";
  }
  std::vector<std::vector<std::string>> lines = {columns_};
  for (auto& name : lines[0]) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  }
  for (const auto& row : rows_) {
    std::vector<std::string>& line = lines.emplace_back();
    for (const std::string& text : row) line.push_back(cell(text));
  }
  std::vector<std::size_t> widths(columns_.size());
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      widths[i] = std::max(widths[i], width_of(line[i]));
    }
  }
  for (const auto& line : lines) {
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i) {
      text += line[i] + std::string(widths[i] - width_of(line[i]) + 2, ' ');
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  }
  return out;
}

std::string told(Form form, std::string_view sentence, const Members& members) {
  if (form == Form::kTable) return printable(sentence) + "\n";
  wire::JsonWriter writer;
  writer.begin_object();
  for (const auto& [key, value] : members) {
    writer.key(key);
    if (const auto* text = std::get_if<std::string>(&value)) writer.string(*text);
    if (const auto* number = std::get_if<std::uint64_t>(&value))
      writer.integer(static_cast<std::int64_t>(*number));
    if (const auto* fact = std::get_if<bool>(&value)) writer.boolean(*fact);
  }
  writer.end_object();
  return std::move(writer).text() + "\n";
}

int complain(Form form, const Error& error) {
  const ErrorRow& row = row_of(error.code());
  std::string text = "gatehouse: " + printable(error.message()) + "\n";
  if (form == Form::kJson) {
    text = told(form, "", {{"error", std::string(row.label)}, {"message", error.message()}});
  }
  std::fputs(text.c_str(), stderr);
  return row.exit_code;
}

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

std::string outcome_of(std::int32_t exit_status) {
  const int signal = exit_status - 128;
  if (signal <= 0 || signal >= NSIG) return fmt::format("exit {}", exit_status);
  const char* name = sigabbrev_np(signal);
  return name == nullptr ? fmt::format("exit {}", exit_status) : fmt::format("SIG{}", name);
}

std::string time_of(std::int64_t unix_ms) {
  return unix_ms == 0 ? "" : WallTime(unix_ms * 1'000'000).text();
}

std::vector<std::string> lacks(const std::vector<std::string>& not_enforced,
                               std::string_view no_sandbox) {
  std::vector<std::string> lines;
  for (const std::string& missing : not_enforced) {
    lines.push_back("not enforced: " + printable(missing));
  }
  if (!no_sandbox.empty()) lines.push_back(printable(no_sandbox));
  return lines;
}

void tell_lacks(Form form, const std::vector<std::string>& not_enforced) {
  if (form == Form::kJson) return;
  for (const std::string& line : lacks(not_enforced, ""))
    std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace gatehouse::cli
