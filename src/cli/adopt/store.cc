// SPDX-License-Identifier: Apache-2.0
#include "cli/adopt/store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/encoding.h"

namespace gatehouse::cli::adopt {
namespace {

constexpr std::string_view kEnding = ".sqlite";
constexpr int kBusyMs = 2000;

// OpenClaw 2026.9: what all its agents share, and what one has for itself.
struct Kind {
  std::string_view table;
  const char* list;
  const char* read;
  const char* replace;
};
constexpr std::array kKinds = {
    Kind{"config_machine_state",
         "SELECT state_key FROM config_machine_state WHERE state_key = 'authProfiles.store'",
         "SELECT value_json FROM config_machine_state WHERE state_key = ?1",
         "UPDATE config_machine_state SET value_json = ?2 WHERE state_key = ?1 "
         "AND value_json = ?3"},
    Kind{"auth_profile_store", "SELECT store_key FROM auth_profile_store LIMIT 64",
         "SELECT store_json FROM auth_profile_store WHERE store_key = ?1",
         "UPDATE auth_profile_store SET store_json = ?2 WHERE store_key = ?1 AND store_json = ?3"},
};

struct Row {
  std::string database;  // below the folder
  const Kind* kind = nullptr;
  std::string key;
};

// Nothing for the name of a file.
std::optional<Row> row_named(const std::string& name) {
  const std::size_t mark = name.find(std::string(kEnding) + "#");
  if (mark == std::string::npos) return std::nullopt;
  const std::size_t hash = mark + kEnding.size();
  const std::size_t slash = name.find('/', hash);
  if (slash == std::string::npos) return std::nullopt;
  const std::string_view table = std::string_view(name).substr(hash + 1, slash - hash - 1);
  const auto kind = std::ranges::find(kKinds, table, &Kind::table);
  if (kind == kKinds.end()) return std::nullopt;
  return Row{name.substr(0, hash), &*kind, name.substr(slash + 1)};
}

class Statement {
 public:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }
  void bind(int at, std::string_view text) {
    sqlite3_bind_text(statement_, at, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
  }
  [[nodiscard]] int step() { return sqlite3_step(statement_); }
  [[nodiscard]] std::string text() const {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, 0));
    const int size = sqlite3_column_bytes(statement_, 0);
    return bytes == nullptr ? "" : std::string(bytes, static_cast<std::size_t>(size));
  }

 private:
  sqlite3_stmt* statement_;
};

enum class Access : std::uint8_t { kRead, kWrite };

class Database {
 public:
  static Result<Database> open(const Folder& folder, const std::string& name, Access access) {
    TRY(folder.check(name));
    const std::string path = folder.path() + "/" + name;
    // Without a log beside it a database is read without being touched, also by its own locks.
    struct stat about{};
    const bool has_log = stat((path + "-wal").c_str(), &about) == 0 && about.st_size > 0;
    const bool is_still = access == Access::kRead && !has_log;
    std::string uri = "file:";
    for (const char c : path) uri += c == '/' ? "/" : percent_encoded({&c, 1});
    if (is_still) uri += "?immutable=1";
    Database database;
    database.name_ = path;
    const int flags = (is_still ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) | SQLITE_OPEN_URI
                      | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(uri.c_str(), &database.handle_, flags, nullptr) != SQLITE_OK) {
      return database.wrong();
    }
    sqlite3_busy_timeout(database.handle_, kBusyMs);
    return database;
  }
  Database(Database&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), name_(std::move(other.name_)) {}
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  Database& operator=(Database&&) = delete;
  ~Database() { sqlite3_close(handle_); }

  // Its own words may quote what is stored, so that only its number is told.
  [[nodiscard]] Failure wrong() const {
    const int code = handle_ == nullptr ? SQLITE_NOMEM : sqlite3_errcode(handle_);
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
      return failure(Error::kConflict, name_ + " is in use; stop the agent first");
    }
    return failure(Error::kCorrupt,
                   fmt::format("{} cannot be read as SQLite: {}", name_, sqlite3_errstr(code)));
  }
  [[nodiscard]] Result<bool> has_table(std::string_view table) const {
    Statement found(prepared("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1"));
    found.bind(1, table);
    const int got = found.step();
    if (got != SQLITE_ROW && got != SQLITE_DONE) return wrong();
    return got == SQLITE_ROW;
  }
  [[nodiscard]] Result<void> run(const char* sql) const {
    if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return wrong();
    return {};
  }
  [[nodiscard]] sqlite3_stmt* prepared(const char* sql) const {
    sqlite3_stmt* statement = nullptr;
    sqlite3_prepare_v2(handle_, sql, -1, &statement, nullptr);
    return statement;
  }
  [[nodiscard]] int changes() const { return sqlite3_changes(handle_); }

 private:
  Database() = default;
  sqlite3* handle_ = nullptr;
  std::string name_;
};

Result<std::optional<PrivateText>> read_row(const Folder& folder, const Row& row) {
  const Database database = TRY(Database::open(folder, row.database, Access::kRead));
  Statement read(database.prepared(row.kind->read));
  read.bind(1, row.key);
  const int got = read.step();
  if (got == SQLITE_DONE) return std::nullopt;
  if (got != SQLITE_ROW) return database.wrong();
  PrivateText text(read.text());
  if (text.view().size() > kFileMost) {
    return failure(Error::kTooLarge, fmt::format("{} of {} has more than {} bytes", row.key,
                                                 row.database, kFileMost));
  }
  return text;
}

Result<void> replace_row(const Folder& folder, const Row& row, std::string_view before,
                         std::string_view after) {
  const Database database = TRY(Database::open(folder, row.database, Access::kWrite));
  TRY(database.run("PRAGMA secure_delete = ON; PRAGMA synchronous = FULL; BEGIN IMMEDIATE"));
  Statement replace(database.prepared(row.kind->replace));
  replace.bind(1, row.key);
  replace.bind(2, after);
  replace.bind(3, before);
  const int done = replace.step();
  if (done != SQLITE_DONE) return database.wrong();
  if (database.changes() != 1) {
    return failure(Error::kConflict, row.database + " was changed meanwhile; do it again");
  }
  TRY(database.run("COMMIT"));
  return database.run("PRAGMA wal_checkpoint(TRUNCATE)");
}

}  // namespace

Result<std::vector<std::string>> rows_of(const Folder& folder, const std::string& database) {
  const Database opened = TRY(Database::open(folder, database, Access::kRead));
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) {
    if (!TRY(opened.has_table(kind.table))) continue;
    Statement list(opened.prepared(kind.list));
    int got = list.step();
    for (; got == SQLITE_ROW; got = list.step()) {
      names.push_back(fmt::format("{}#{}/{}", database, kind.table, list.text()));
    }
    if (got != SQLITE_DONE) return opened.wrong();
  }
  return names;
}

Result<std::optional<PrivateText>> read_source(const Folder& folder, const std::string& name) {
  const auto row = row_named(name);
  if (!row) return folder.read(name);
  return read_row(folder, *row);
}

Result<void> replace_source(const Folder& folder, const std::string& name, std::string_view before,
                            std::string_view after) {
  const auto row = row_named(name);
  if (!row) return folder.replace(name, before, after);
  return replace_row(folder, *row, before, after);
}

}  // namespace gatehouse::cli::adopt
