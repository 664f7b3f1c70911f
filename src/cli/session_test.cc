// SPDX-License-Identifier: Apache-2.0
#include "cli/session.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace gatehouse::cli {
namespace {

namespace fs = std::filesystem;

class SessionsTest : public ::testing::Test {
 protected:
  SessionsTest() {
    std::string made = (fs::temp_directory_path() / "gatehouse-sessions-XXXXXX").string();
    folder_ = mkdtemp(made.data());
    setenv("XDG_STATE_HOME", folder_.c_str(), 1);
    fs::create_directory(folder_ + "/gatehouse");
  }
  ~SessionsTest() override {
    unsetenv("XDG_STATE_HOME");
    fs::remove_all(folder_);
  }
  [[nodiscard]] std::string path() const { return folder_ + "/gatehouse/sessions.json"; }
  [[nodiscard]] std::string text() const {
    std::ifstream file(path());
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const std::string& text) const {
    std::ofstream(path(), std::ios::trunc) << text;
    chmod(path().c_str(), 0600);
  }

 private:
  std::string folder_;
};

// The text is frozen: it is what was written before the file had a version.
TEST_F(SessionsTest, OfBeforeThereWasAVersionAreReadAndKept) {
  write(R"({"/data/run/admin.sock":{"session":"s1","tenant":"t","who":"w","ends":"e"}})");
  const auto found = stored_session("/data/run/admin.sock");
  ASSERT_TRUE(found);
  ASSERT_TRUE(*found);
  EXPECT_EQ((*found)->session, "s1");
  EXPECT_FALSE(text().contains("version")) << "what is only read is not written";

  ASSERT_TRUE(store_session("https://other", {"s2", "t", "w", "e"}));
  EXPECT_TRUE(text().starts_with(R"({"version":1,"sessions":{)")) << text();
  EXPECT_EQ((*stored_session("/data/run/admin.sock"))->session, "s1");
  EXPECT_EQ((*stored_session("https://other"))->session, "s2");
  ASSERT_TRUE(forget_session("/data/run/admin.sock"));
  EXPECT_FALSE(*stored_session("/data/run/admin.sock"));
  EXPECT_TRUE(*stored_session("https://other"));
}

TEST_F(SessionsTest, OfANewerGatehouseAreRefusedAndLeftAlone) {
  const std::string newer = R"({"version":2,"people":[]})";
  write(newer);
  const auto refused = stored_session("/data/run/admin.sock");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Error::kUnsupported);
  EXPECT_TRUE(refused.error().message().contains(
      "made by a newer gatehouse: the file of sessions is of version 2"))
      << refused.error().message();
  EXPECT_FALSE(store_session("https://other", {"s", "t", "w", "e"}));
  EXPECT_EQ(text(), newer);
}

TEST_F(SessionsTest, ThatAreDamagedAreNoSessions) {
  for (const char* bad : {"", "[]", "{", R"({"version":0})", R"({"version":"1","sessions":{}})",
                          R"({"version":1})", R"({"version":1,"sessions":[]})",
                          R"({"version":1,"sessions":{"h":"token"}})", R"({"h":7})"}) {
    EXPECT_FALSE(parse_sessions(bad)) << bad;
  }
}

}  // namespace
}  // namespace gatehouse::cli
