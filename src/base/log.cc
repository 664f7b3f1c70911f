// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include "base/encoding.h"
#include "base/time.h"

namespace gatehouse {
namespace {

struct Setup {
  std::string role = "gatehouse";
  LogLevel least = LogLevel::kInfo;
};
// The one process-wide setting: a log has no owner to be handed down from. Written before threads
// start, but for the form.
Setup g_setup;
std::atomic<LogForm> g_form = LogForm::kText;

constexpr std::array<std::string_view, 4> kNames = {"debug", "info", "warning", "error"};

// The keys of a JSON line that are not a field's to take.
bool is_taken(std::string_view key) {
  return key == "time" || key == "level" || key == "role" || key == "message";
}

bool is_plain(std::string_view value) {
  if (value.empty()) return false;
  for (const char c : value) {
    if (c <= ' ' || c == '"' || c == '\\' || c == '=' || static_cast<unsigned char>(c) >= 0x7f) {
      return false;
    }
  }
  return true;
}

}  // namespace

void log_setup(std::string_view role, LogLevel least, LogForm form) {
  g_setup = {std::string(role), least};
  g_form = form;
}

void log_form(LogForm form) { g_form = form; }

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (level < g_setup.least) return;
  const std::string_view name = kNames[static_cast<std::size_t>(level)];
  std::string line;
  if (g_form == LogForm::kJson) {
    line = fmt::format(R"({{"time":"{}","level":"{}","role":"{}","message":{})",
                       WallTime::now().text(), name, g_setup.role, json_quoted(message));
    for (const LogField& field : fields) {
      line += fmt::format(",\"{}{}\":{}", field.key, is_taken(field.key) ? "_" : "",
                          json_quoted(field.value));
    }
    line += "}\n";
  } else {
    line = fmt::format("{} {:7} {:9} {}", WallTime::now().text(), name, g_setup.role,
                       printable(message));
    for (const LogField& field : fields) {
      line += fmt::format(" {}={}", field.key,
                          is_plain(field.value) ? field.value : json_quoted(field.value));
    }
    line += '\n';
  }
  // One write a line, so that roles that share the descriptor do not mix; a full pipe loses the
  // line.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace gatehouse
