// SPDX-License-Identifier: Apache-2.0
// `gatehouse config`: what is wrong with the file, and what it may hold.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/encoding.h"
#include "cli/verbs.h"
#include "wire/json.h"

namespace gatehouse::cli {
namespace {

struct Checked {
  std::string path;
  ConfigReport report;
};

std::string json_of(const std::vector<Checked>& all, bool valid) {
  wire::JsonWriter writer;
  writer.begin_object().key("valid").boolean(valid).key("files").begin_array();
  for (const Checked& file : all) {
    writer.begin_object().key("config").string(file.path);
    writer.key("valid").boolean(file.report.problems.empty());
    if (file.report.problems.empty()) writer.key("data").string(file.report.data);
    writer.key("problems").begin_array();
    for (const ConfigProblem& problem : file.report.problems) {
      writer.begin_object().key("line").integer(problem.line);
      writer.key("column").integer(problem.column);
      writer.key("code").string(problem.code).key("message").string(problem.what);
      writer.key("remedy").string(problem.remedy).end_object();
    }
    writer.end_array().end_object();
  }
  writer.end_array().end_object();
  return std::move(writer).text() + "\n";
}

// Each kind's remedy stands once, behind the last problem of its kind.
void complain_of(const Checked& file) {
  std::string text;
  std::vector<std::pair<std::string, std::string>> remedies;
  for (const ConfigProblem& problem : file.report.problems) {
    const std::string place =
        problem.line == 0 ? file.path
                          : fmt::format("{}:{}:{}", file.path, problem.line, problem.column);
    text += fmt::format("{}: {} [{}]\n", place, printable(problem.what), problem.code);
    const std::pair remedy(problem.code, problem.remedy);
    if (std::find(remedies.begin(), remedies.end(), remedy) == remedies.end()) {
      remedies.push_back(remedy);
    }
  }
  for (const auto& [code, remedy] : remedies) text += fmt::format("  {}: {}\n", code, remedy);
  std::fputs(text.c_str(), stderr);
}

}  // namespace

Result<int> check_config(const Options& options, const Wiring& wiring) {
  std::vector<std::string> paths = options.files;
  if (paths.empty()) paths.push_back(TRY(config_path(options)));
  std::vector<Checked> all;
  bool valid = true;
  for (const std::string& path : paths) {
    all.push_back({path, TRY(wiring.check_config(path))});
    valid = valid && all.back().report.problems.empty();
  }
  if (options.form == Form::kJson) {
    print(json_of(all, valid));
  } else {
    for (const Checked& file : all) {
      if (file.report.problems.empty()) print(file.path + ": all is well\n");
      if (!file.report.problems.empty()) complain_of(file);
    }
  }
  return valid ? 0 : row_of(Error::kInvalid).exit_code;
}

Result<int> print_schema(const Options& /*options*/, const Wiring& wiring) {
  print(wiring.config_schema());
  return 0;
}

}  // namespace gatehouse::cli
