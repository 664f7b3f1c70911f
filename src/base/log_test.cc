// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <gtest/gtest.h>

#include "base/secret.h"

namespace gatehouse {
namespace {

template <class T>
concept CanBeLogged = requires(T value) { LogField("key", value); };

// The line that `write` leaves on standard error.
template <class Write>
std::string logged(LogForm form, Write write) {
  log_setup("gateway.1", LogLevel::kInfo, form);
  testing::internal::CaptureStderr();
  write();
  log_setup("test", LogLevel::kInfo, LogForm::kText);
  return testing::internal::GetCapturedStderr();
}

TEST(Log, IsOneLineAnEventWhateverTheValueHolds) {
  const std::string hostile = "a\n2026-01-01T00:00:00.000Z error vault forged\x1b[2J\"";
  for (const LogForm form : {LogForm::kText, LogForm::kJson}) {
    const std::string line = logged(form, [&] { log_warning("refused", {{"path", hostile}}); });
    EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
    EXPECT_FALSE(line.contains('\x1b')) << line;
  }
}

TEST(Log, AsJsonHasTimeLevelRoleMessageAndTheFields) {
  const std::string line =
      logged(LogForm::kJson, [] { log_info("a Door is open", {{"trace", "0af7"}, {"n", 3}}); });
  EXPECT_EQ(line.substr(0, 9), R"({"time":")");
  EXPECT_EQ(line.substr(32), R"(Z","level":"info","role":"gateway.1","message":"a Door is open",)"
                             R"("trace":"0af7","n":"3"})"
                             "\n")
      << line;
}

TEST(Log, NoFieldTakesThePlaceOfWhatEveryLineHas) {
  const std::string line = logged(LogForm::kJson, [] { log_error("x", {{"role", "vault"}}); });
  EXPECT_TRUE(line.contains(R"("role":"gateway.1")")) << line;
  EXPECT_TRUE(line.contains(R"("role_":"vault")")) << line;
}

TEST(Log, WhatIsBelowItsLevelIsNotWritten) {
  EXPECT_EQ(logged(LogForm::kText, [] { log_debug("quiet"); }), "");
}

TEST(Log, ASecretHasNoWayIn) {
  static_assert(CanBeLogged<std::string>);
  static_assert(!CanBeLogged<Secret>);
  static_assert(!CanBeLogged<const Secret&>);
}

}  // namespace
}  // namespace gatehouse
