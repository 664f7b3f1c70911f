// SPDX-License-Identifier: Apache-2.0
// The log face of every role: one line a record on standard error, `time level role message
// key=value...`, or JSON with the members time (RFC 3339), level, role, message and the fields, all
// strings. A Run is named by the fields `run` and `trace`. Messages are literals; what varies is in
// the fields, whose keys are plain words. Values are escaped, so that hostile text cannot forge a
// line. Secrets have no way in: Secret has no text form.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace gatehouse {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError, kNothing };
enum class LogForm : std::uint8_t { kText, kJson };

struct LogField {
  std::string_view key;
  std::string value;
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  template <class Number>
    requires std::is_arithmetic_v<Number>
  LogField(std::string_view k, Number v) : key(k), value(std::to_string(v)) {}
};

// Called once in main; `role` is printed in every line.
void log_setup(std::string_view role, LogLevel least, LogForm form);

// Another form from now on. From any thread.
void log_form(LogForm form);

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

inline void log_debug(std::string_view m, std::initializer_list<LogField> f = {}) {
  log(LogLevel::kDebug, m, f);
}
inline void log_info(std::string_view m, std::initializer_list<LogField> f = {}) {
  log(LogLevel::kInfo, m, f);
}
inline void log_warning(std::string_view m, std::initializer_list<LogField> f = {}) {
  log(LogLevel::kWarning, m, f);
}
inline void log_error(std::string_view m, std::initializer_list<LogField> f = {}) {
  log(LogLevel::kError, m, f);
}

}  // namespace gatehouse
