// SPDX-License-Identifier: Apache-2.0
#include "cli/adopt/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "wire/json.h"

namespace gatehouse::cli::adopt {
namespace {

std::string masked_value(const Finding& finding) {
  return masked(finding.value.open(Purpose::kCompare));
}

std::string whose(const Finding& finding) {
  if (finding.provider != nullptr) return std::string(finding.provider->name);
  return finding.target.name.empty() ? "unknown" : finding.target.name;
}

std::string what_happens(const Finding& finding, const Decision& decision, bool is_dry) {
  if (decision.outcome != Outcome::kMoved) return "stays: " + decision.why;
  const std::string_view head = finding.splice.head;
  const bool is_filled_in = head.ends_with("${") || !head.contains("GATEHOUSE_KEEPS_");
  return fmt::format(
      "{} the vault, for service {}; {} {} there", is_dry ? "would go into" : "in",
      decision.service,
      is_filled_in ? "${" + decision.variable + "}" : "GATEHOUSE_KEEPS_" + decision.variable,
      is_dry ? "would stand" : "stands");
}

// The services that are missing, as they are written in gatehouse.yaml.
std::string services_yaml(const std::vector<NewService>& services) {
  std::string out;
  for (const NewService& one : services) {
    out += fmt::format("  - name: {}\n    kind: {}\n    url: {}\n    upstream: {}\n",
                       one.service.name, one.target.kind, one.target.origin, one.target.origin);
    out += fmt::format("    credential: {{kind: static, header: {}, prefix: \"{}\"}}\n",
                       one.target.header, one.target.prefix);
    out += fmt::format("    scope: {}\n", one.service.shared ? "tenant" : "user");
  }
  return out;
}

std::string rule_yaml(const std::string& service, const Target& target) {
  const std::string begin = fmt::format("      - {{id: {}, service: {}, ", service, service);
  if (target.kind == "mcp") return begin + "tools: []}  # name the tools that it may call\n";
  if (target.kind == "openai") {
    return begin + "methods: [POST], paths: [\"/v1/chat/completions\", \"/v1/responses\"]}\n";
  }
  if (target.name == "anthropic") return begin + "methods: [POST], paths: [\"/v1/messages\"]}\n";
  if (target.name == "google") {
    return begin + "methods: [POST], paths: [\"/v1beta/models/**\"]}\n";
  }
  return begin + "methods: [GET, POST], paths: [\"/**\"]}  # narrow it to what it needs\n";
}

// What the agent lacks of the plan's environment and of rules, as gatehouse.yaml has it.
std::string agent_yaml(const Report& report) {
  std::string environment;
  for (const auto& [variable, service] : report.plan->environment) {
    const std::string value = "{{placeholder:" + service + "}}";
    const auto has = report.facts->environment.find(variable);
    if (has != report.facts->environment.end() && has->second == value) continue;
    environment += fmt::format("      {}: \"{}\"\n", variable, value);
  }
  std::string rules;
  std::set<std::string> ruled = report.facts->ruled;
  for (std::size_t i = 0; i < report.found->size(); ++i) {
    const Decision& decision = report.plan->decisions[i];
    if (decision.outcome == Outcome::kMoved && ruled.insert(decision.service).second) {
      rules += rule_yaml(decision.service, (*report.found)[i].target);
    }
  }
  std::string out;
  if (!environment.empty()) out += "    environment:\n" + environment;
  if (!rules.empty()) out += "    rules:\n" + rules;
  return out;
}

struct Rotation {
  std::string provider;
  std::string at;
  std::string service;
  std::string user;
};

// Each key that lay in the clear, moved or not, with where a new one is had.
std::vector<Rotation> rotations(const Report& report) {
  std::vector<Rotation> out;
  std::set<std::pair<std::string, std::string>> told;
  for (std::size_t i = 0; i < report.found->size(); ++i) {
    const Finding& finding = (*report.found)[i];
    const Decision& decision = report.plan->decisions[i];
    const std::string at(finding.provider == nullptr ? "" : finding.provider->rotate_at);
    if (at.empty() && decision.outcome != Outcome::kMoved) continue;
    if (!told.insert({whose(finding), decision.service}).second) continue;
    out.push_back({whose(finding), at, decision.service, decision.user});
  }
  return out;
}

std::string rotation_lines(const Report& report) {
  std::string out;
  for (const Rotation& one : rotations(report)) {
    out += fmt::format("  {}: {}\n", one.provider, one.at.empty() ? "at its provider" : one.at);
    if (!one.service.empty()) {
      out += fmt::format("      then `gatehouse connect {}{}`\n", one.service,
                         one.user.empty() ? "" : " --user " + one.user);
    }
  }
  return out;
}

std::string copies_lines(const Report& report) {
  std::string out;
  std::set<std::string> told;
  for (const Copies::Copy& copy : report.copies.found) {
    if (told.insert(copy.file).second) out += "  " + copy.file + "\n";
  }
  if (!report.copies.is_whole) out += "  (not everything could be looked at)\n";
  return out;
}

std::string others_lines(const Report& report) {
  std::string out;
  for (const Copies::Other& other : report.copies.others) {
    out += fmt::format("  {} ({})\n", other.file, other.provider->name);
  }
  return out;
}

std::string for_people(const Report& report) {
  Table table({"place", "what", "whose", "key", "what happens"});
  for (std::size_t i = 0; i < report.found->size(); ++i) {
    const Finding& finding = (*report.found)[i];
    table.add({fmt::format("{}:{}:{}", finding.file, finding.line, finding.column),
               finding.where.empty() ? "in the text" : finding.where, whose(finding),
               masked_value(finding),
               what_happens(finding, report.plan->decisions[i], report.is_dry)});
  }
  std::string out = table.empty() ? fmt::format("no key is found in {}\n", report.path)
                                  : table.text(Form::kTable);
  for (const std::string& note : report.notes) out += "note: " + note + "\n";
  const auto section = [&](std::string_view title, const std::string& lines) {
    if (!lines.empty()) out += fmt::format("\n{}\n{}", title, lines);
  };
  if (!report.creates) {
    section(
        "The house lacks these services: add them to gatehouse.yaml and `gatehouse reload`, or "
        "give --create, and adopt again:",
        services_yaml(report.plan->new_services));
  }
  section(report.agent.empty() ? "The agent that uses these files needs, in gatehouse.yaml:"
                               : fmt::format("Agent {} still needs:", report.agent),
          agent_yaml(report));
  section("These keys lay in the clear. Make new ones, and delete the old ones there:",
          rotation_lines(report));
  section("The same keys also lie in:", copies_lines(report));
  section("What looks like other keys lies in these files, which are not changed:",
          others_lines(report));
  if (!report.record.empty()) {
    section(
        fmt::format("`gatehouse adopt {} --undo` puts the files back. For that, this file (0600) "
                    "holds the keys, in the clear, until `gatehouse adopt {} --forget`:",
                    report.path, report.path),
        "  " + report.record + "\n");
  }
  return out;
}

std::string_view word_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kMoved:
      return "moved";
    case Outcome::kNoService:
      return "no_service";
    case Outcome::kStays:
      return "stays";
  }
  return "stays";
}

void findings_json(wire::JsonWriter& out, const Report& report) {
  out.key("findings").begin_array();
  for (std::size_t i = 0; i < report.found->size(); ++i) {
    const Finding& finding = (*report.found)[i];
    const Decision& decision = report.plan->decisions[i];
    out.begin_object().key("file").string(finding.file);
    out.key("line").integer(static_cast<std::int64_t>(finding.line));
    out.key("column").integer(static_cast<std::int64_t>(finding.column));
    out.key("what").string(finding.where).key("whose").string(whose(finding));
    out.key("key").string(masked_value(finding));
    out.key("outcome").string(word_of(decision.outcome)).key("service").string(decision.service);
    out.key("variable").string(decision.variable).key("why").string(decision.why).end_object();
  }
  out.end_array();
}

void services_json(wire::JsonWriter& out, const Report& report) {
  out.key(report.creates ? "created_services" : "missing_services").begin_array();
  for (const NewService& one : report.plan->new_services) {
    out.begin_object().key("name").string(one.service.name);
    out.key("kind").string(one.target.kind).key("url").string(one.target.origin);
    out.key("header").string(one.target.header).key("prefix").string(one.target.prefix);
    out.key("scope").string(one.service.shared ? "tenant" : "user").end_object();
  }
  out.end_array();
}

std::string for_programs(const Report& report) {
  wire::JsonWriter out;
  out.begin_object().key("path").string(report.path).key("layout").string(report.layout);
  out.key("dry_run").boolean(report.is_dry);
  findings_json(out, report);
  services_json(out, report);
  out.key("environment").begin_object();
  for (const auto& [variable, service] : report.plan->environment) {
    out.key(variable).string("{{placeholder:" + service + "}}");
  }
  out.end_object().key("agent_lacks").string(agent_yaml(report));
  out.key("rotate").begin_array();
  for (const Rotation& one : rotations(report)) {
    out.begin_object().key("whose").string(one.provider).key("at").string(one.at);
    out.key("service").string(one.service).end_object();
  }
  out.end_array().key("copies").begin_array();
  for (const Copies::Copy& copy : report.copies.found) out.string(copy.file);
  out.end_array().key("others").begin_array();
  for (const Copies::Other& other : report.copies.others) {
    out.begin_object().key("file").string(other.file);
    out.key("whose").string(other.provider->name).end_object();
  }
  out.end_array().key("copies_whole").boolean(report.copies.is_whole);
  out.key("notes").begin_array();
  for (const std::string& note : report.notes) out.string(note);
  out.end_array().key("record").string(report.record).end_object();
  return std::move(out).text() + "\n";
}

}  // namespace

std::string text_of(const Report& report, Form form) {
  return form == Form::kJson ? for_programs(report) : printable(for_people(report));
}

}  // namespace gatehouse::cli::adopt
