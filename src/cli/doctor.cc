// SPDX-License-Identifier: Apache-2.0
// `gatehouse doctor`: what each role can still do beside what it should, and what this host cannot
// enforce.
#include <fmt/format.h>

#include "base/encoding.h"
#include "cli/client.h"
#include "cli/verbs.h"
#include "ipc/supervisor.h"
#include "wire/json.h"

namespace gatehouse::cli {
namespace {

struct Diagnosis {
  ipc::Examination roles;

  // What is wrong, a line each.
  [[nodiscard]] std::vector<std::string> complaints() const {
    std::vector<std::string> out;
    for (const ipc::RoleExamined& role : roles.roles) {
      if (!role.unanswered.empty()) {
        out.push_back(
            fmt::format("{} could not be examined: {}", role.role, printable(role.unanswered)));
      }
      for (const ipc::Finding& finding : role.findings) {
        const ipc::Attempt& attempt = finding.attempt;
        if (attempt.possible == finding.expected) continue;
        out.push_back(
            attempt.possible
                ? fmt::format("{} can {}, and should not", role.role, text(attempt.ability))
                : fmt::format("{} cannot {} ({}), and should", role.role, text(attempt.ability),
                              printable(attempt.said)));
      }
    }
    for (const std::string& line : lacks(roles.not_enforced, roles.no_sandbox)) out.push_back(line);
    return out;
  }
};

std::string json_of(const Diagnosis& all) {
  const std::vector<std::string> complaints = all.complaints();
  wire::JsonWriter writer;
  writer.begin_object().key("mode").string(all.roles.mode);
  writer.key("not_enforced").begin_array();
  for (const std::string& missing : all.roles.not_enforced) writer.string(missing);
  writer.end_array().key("no_sandbox").string(all.roles.no_sandbox);
  writer.key("well").boolean(complaints.empty());
  writer.key("complaints").begin_array();
  for (const std::string& line : complaints) writer.string(line);
  writer.end_array().key("roles").begin_array();
  for (const ipc::RoleExamined& role : all.roles.roles) {
    writer.begin_object().key("role").string(role.role).key("findings").begin_array();
    for (const ipc::Finding& finding : role.findings) {
      writer.begin_object().key("ability").string(text(finding.attempt.ability));
      writer.key("can").boolean(finding.attempt.possible);
      writer.key("should").boolean(finding.expected);
      writer.key("refused_with").string(finding.attempt.said).end_object();
    }
    writer.end_array().end_object();
  }
  writer.end_array().end_object();
  return std::move(writer).text();
}

// A row an ability, a column a role: what it can do, with a mark where that is not as it should be.
void write_table(const Diagnosis& all) {
  std::vector<std::string> columns = {"can it"};
  for (const ipc::RoleExamined& role : all.roles.roles) columns.push_back(role.role);
  Table table(columns);
  for (std::size_t i = 0; i < ipc::kAbilities; ++i) {
    std::vector<std::string> row = {std::string(text(static_cast<ipc::Ability>(i)))};
    for (const ipc::RoleExamined& role : all.roles.roles) {
      if (i >= role.findings.size()) {
        row.emplace_back("?");
        continue;
      }
      const ipc::Finding& finding = role.findings[i];
      const char* word = finding.attempt.possible ? "yes" : "-";
      const bool wrong = finding.attempt.possible != finding.expected;
      row.push_back(wrong ? fmt::format("{} !", word) : word);
    }
    table.add(std::move(row));
  }
  print(fmt::format("mode: {}\n\n{}\n", all.roles.mode, table.text(Form::kTable)));
}

Result<Diagnosis> examined(const std::string& data) {
  const std::string run = data + "/run";
  Diagnosis all;
  Client supervisor = TRY(Client::connect(run + "/supervisor.sock"));
  all.roles = TRY(supervisor.call(ipc::Examine{}));
  return all;
}

}  // namespace

Result<std::string> diagnosis(const std::string& data) { return json_of(TRY(examined(data))); }

Result<int> doctor(const Options& options, const Wiring& wiring) {
  const Diagnosis all = TRY(examined(TRY(data_directory(options, wiring))));
  const std::vector<std::string> complaints = all.complaints();
  if (options.form == Form::kJson) {
    print(json_of(all) + "\n");
  } else {
    write_table(all);
    for (const std::string& line : complaints) print(line + "\n");
    if (complaints.empty()) print("every role can do what it should, and nothing else\n");
  }
  return complaints.empty() ? 0 : row_of(Error::kUnsupported).exit_code;
}

}  // namespace gatehouse::cli
