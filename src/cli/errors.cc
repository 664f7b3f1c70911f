// SPDX-License-Identifier: Apache-2.0
// `gatehouse help errors`: every code that an error of the house can have, why it comes and what to
// do; docs/errors.md is made of its JSON.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/catalogue.h"
#include "cli/help.h"
#include "wire/json.h"

namespace gatehouse::cli {
namespace {

struct Exit {
  int status;
  std::string_view meaning;
};
constexpr std::array kExits = {
    Exit{0, "done"},
    Exit{64, "wrong usage: `gatehouse help` has the verbs and their options"},
    Exit{71, "of a role: its executable cannot be run"},
    Exit{78, "of a role: it cannot start with this configuration"},
};

struct Row {
  std::string code;
  std::string cause;
  std::string remedy;
  int http = 0;  // 0: an error of the config, which only people see
  int json_rpc = 0;
  int exit = 0;
};

std::vector<Row> rows(const Wiring& wiring) {
  std::vector<Row> all;
  for (const ErrorRow& row : error_rows()) {
    const ErrorText& text = text_of(row.code);
    all.push_back({std::string(row.label), std::string(text.cause), std::string(text.remedy),
                   row.http_status, row.json_rpc_code, row.exit_code});
  }
  for (const ConfigErrorRow& row : wiring.config_errors()) {
    all.push_back({row.code, row.cause, row.remedy, 0, 0, row_of(Error::kInvalid).exit_code});
  }
  return all;
}

std::string json_of(const std::vector<Row>& all) {
  wire::JsonWriter writer;
  writer.begin_object().key("errors").begin_array();
  for (const Row& row : all) {
    writer.begin_object().key("code").string(row.code);
    writer.key("cause").string(row.cause).key("remedy").string(row.remedy);
    if (row.http != 0) writer.key("http_status").integer(row.http);
    if (row.json_rpc != 0) writer.key("json_rpc_code").integer(row.json_rpc);
    writer.key("exit_status").integer(row.exit).end_object();
  }
  writer.end_array().key("exit_statuses").begin_array();
  for (const Exit& exit : kExits) {
    writer.begin_object().key("status").integer(exit.status);
    writer.key("meaning").string(exit.meaning).end_object();
  }
  writer.end_array().end_object();
  return std::move(writer).text() + "\n";
}

std::string text_of_row(const Row& row) {
  std::string numbers = fmt::format("exit {}", row.exit);
  if (row.http != 0) numbers += fmt::format(", HTTP {}, JSON-RPC {}", row.http, row.json_rpc);
  return fmt::format("{} ({})\n  cause:  {}\n  remedy: {}\n", row.code, numbers, row.cause,
                     row.remedy);
}

}  // namespace

Result<int> help_errors(const std::vector<std::string>& codes, Form form, const Wiring& wiring) {
  std::vector<Row> all = rows(wiring);
  for (const std::string& code : codes) {
    if (std::none_of(all.begin(), all.end(), [&](const Row& row) { return row.code == code; })) {
      return failure(Error::kNotFound,
                     "there is no error \"" + code + "\"; `gatehouse help errors` has all");
    }
  }
  if (!codes.empty()) {
    std::erase_if(all, [&](const Row& row) {
      return std::find(codes.begin(), codes.end(), row.code) == codes.end();
    });
  }
  if (form == Form::kJson) {
    print(json_of(all));
    return 0;
  }
  for (const Row& row : all) print(text_of_row(row));
  return 0;
}

}  // namespace gatehouse::cli
