// SPDX-License-Identifier: Apache-2.0
#include "cli/log_line.h"

#include <gtest/gtest.h>

#include "base/log.h"

namespace gatehouse::cli {
namespace {

// The line that the log writes of this, read back.
std::optional<LogLine> read_back(LogForm form, std::string_view why) {
  log_setup("gateway.1", LogLevel::kInfo, form);
  testing::internal::CaptureStderr();
  log_warning("a role ended; it is started again", {{"pid", 7}, {"why", why}});
  std::string line = testing::internal::GetCapturedStderr();
  log_setup("test", LogLevel::kInfo, LogForm::kText);
  line.pop_back();
  return parse_log_line(line);
}

TEST(LogLine, ReadsWhatTheLogWritesInBothForms) {
  for (const LogForm form : {LogForm::kText, LogForm::kJson}) {
    for (const char* why : {"plain", "two words", R"(a "quoted" \ and = sign)", ""}) {
      const auto line = read_back(form, why);
      ASSERT_TRUE(line) << why;
      EXPECT_EQ(line->role, "gateway.1");
      EXPECT_EQ(line->level, "warning");
      EXPECT_EQ(line->message, "a role ended; it is started again");
      ASSERT_EQ(line->fields.size(), 2U) << why;
      EXPECT_EQ(line->fields[0].first, "pid");
      EXPECT_EQ(line->fields[1].first, "why");
    }
  }
}

TEST(LogLine, IsNothingOfWhatTheLogDoesNotWrite) {
  for (const char* line :
       {"", "a line of somebody's", "2026-01-01T00:00:00.000Z info vault", "{", "{}",
        "2026-01-01T00:00:00.000Z info alice a message", "today info vault a message",
        "2026-01-01T00:00:00.000Z info vault a message why=\"open",
        R"({"time":"2026-01-01T00:00:00.000Z","level":"info","role":"vault","message":"a=b"})",
        R"({"time":"2026-01-01T00:00:00.000Z","level":"info","role":"vault","message":"m"} x)"}) {
    EXPECT_FALSE(parse_log_line(line)) << line;
  }
}

TEST(LogLine, OnlyNumbersRolesAndTimesSayNothing) {
  for (const char* value :
       {"", "7", "1234567890", "gateway.12", "vault", "2026-01-01T00:00:00.000Z"}) {
    EXPECT_TRUE(says_nothing(value)) << value;
  }
  for (const char* value : {"alice", "12345678901", "vault.example", "gateway.1234", "-1", "0x7",
                            "2026-01-01T00:00:00.000Y"}) {
    EXPECT_FALSE(says_nothing(value)) << value;
  }
}

}  // namespace
}  // namespace gatehouse::cli
