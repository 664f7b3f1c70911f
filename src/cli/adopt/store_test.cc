// SPDX-License-Identifier: Apache-2.0
#include "cli/adopt/store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace gatehouse::cli::adopt {
namespace {

namespace fs = std::filesystem;

const std::string kBefore = R"({"profiles":{"a:b":{"type":"api_key","key":"sk-0123456789"}}})";
const std::string kAfter = R"({"profiles":{"a:b":{"type":"api_key","keyRef":{}}}})";
const std::string kName = "state/openclaw.sqlite#config_machine_state/authProfiles.store";

// A folder with a database as OpenClaw makes it; it may be left with its log beside it.
struct Home {
  Home() {
    std::string name = fs::temp_directory_path() / "gatehouse-store.XXXXXX";
    path = mkdtemp(name.data());
    fs::create_directory(path / "state");
  }
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;
  ~Home() {
    sqlite3_close(open_);
    fs::remove_all(path);
  }

  void make(bool stays_open) {
    sqlite3_open((path / "state/openclaw.sqlite").c_str(), &open_);
    run("PRAGMA journal_mode = WAL;"
        "CREATE TABLE config_machine_state (state_key TEXT NOT NULL PRIMARY KEY,"
        " value_json TEXT NOT NULL, updated_at_ms INTEGER NOT NULL) STRICT;"
        "INSERT INTO config_machine_state VALUES ('other', '{\"key\":\"kept\"}', 1);"
        "INSERT INTO config_machine_state VALUES ('authProfiles.store', '"
        + kBefore + "', 2)");
    if (!stays_open) sqlite3_close(std::exchange(open_, nullptr));
  }
  void run(const std::string& sql) const {
    ASSERT_EQ(sqlite3_exec(open_, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
  }
  [[nodiscard]] Folder folder() const { return std::move(*Folder::open(path)); }
  [[nodiscard]] bool holds(std::string_view text) const {
    for (const auto& file : fs::directory_iterator(path / "state")) {
      std::ifstream stream(file.path(), std::ios::binary);
      if (std::string(std::istreambuf_iterator<char>(stream), {}).contains(text)) return true;
    }
    return false;
  }

  fs::path path;

 private:
  sqlite3* open_ = nullptr;
};

TEST(Store, ReplacesARowAndNothingOfItIsLeft) {
  for (const bool has_log : {false, true}) {
    Home home;
    home.make(has_log);
    const Folder folder = home.folder();
    EXPECT_EQ(rows_of(folder, "state/openclaw.sqlite"), std::vector<std::string>{kName});
    EXPECT_EQ((*read_source(folder, kName))->view(), kBefore);
    ASSERT_TRUE(home.holds("sk-0123456789"));
    ASSERT_TRUE(replace_source(folder, kName, kBefore, kAfter));
    EXPECT_EQ((*read_source(folder, kName))->view(), kAfter);
    EXPECT_FALSE(home.holds("sk-0123456789")) << has_log;
    EXPECT_TRUE(home.holds("kept"));
    ASSERT_TRUE(replace_source(folder, kName, kAfter, kBefore));
    EXPECT_EQ((*read_source(folder, kName))->view(), kBefore);
  }
}

TEST(Store, LooksWithoutTouching) {
  Home home;
  home.make(false);
  ASSERT_TRUE(read_source(home.folder(), kName));
  EXPECT_EQ(std::distance(fs::directory_iterator(home.path / "state"), {}), 1);
}

TEST(Store, ARowThatIsAnotherMeanwhileIsLeft) {
  Home home;
  home.make(false);
  const Folder folder = home.folder();
  EXPECT_EQ(replace_source(folder, kName, kAfter, "{}").error(), Error::kConflict);
  EXPECT_EQ((*read_source(folder, kName))->view(), kBefore);
  EXPECT_FALSE(*read_source(folder, "state/openclaw.sqlite#config_machine_state/none"));
}

TEST(Store, IsNoDatabaseWhatIsALinkOrSomethingElse) {
  Home home;
  home.make(false);
  const Folder folder = home.folder();
  fs::create_symlink(home.path / "state/openclaw.sqlite", home.path / "state/link.sqlite");
  EXPECT_EQ(rows_of(folder, "state/link.sqlite").error(), Error::kInvalid);
  std::ofstream(home.path / "state/text.sqlite") << std::string(4096, 'x');
  EXPECT_EQ(rows_of(folder, "state/text.sqlite").error(), Error::kCorrupt);
  EXPECT_FALSE(rows_of(folder, "state/none.sqlite"));
  EXPECT_FALSE(read_source(folder, "../x.sqlite#auth_profile_store/a"));
}

}  // namespace
}  // namespace gatehouse::cli::adopt
