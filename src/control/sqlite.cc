// SPDX-License-Identifier: Apache-2.0
#include "control/sqlite.h"

#include <fmt/format.h>
#include <sqlite3.h>

namespace gatehouse::control {
namespace {

Failure failure_of(sqlite3* database, std::string_view doing) {
  const int code = sqlite3_errcode(database);
  const std::string what = fmt::format("the state store, {}: {}", doing, sqlite3_errmsg(database));
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
      return failure(Error::kConflict, what);
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return failure(Error::kExhausted, what);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return failure(Error::kUnavailable, what + "; another process has it open");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_IOERR:
      return failure(Error::kCorrupt, what);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return failure(Error::kDenied, what);
    default:
      return failure(Error::kInternal, what);
  }
}

// trusted_schema=0: what the file says of itself may call no function of ours (SQLite, "Defense
// Against The Dark Arts"). The lock is taken before WAL, which then lives without shared memory.
constexpr const char* kSettings =
    "PRAGMA trusted_schema = 0; PRAGMA cell_size_check = 1; PRAGMA locking_mode = EXCLUSIVE;"
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
    "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0;";

}  // namespace

Statement::~Statement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Statement& Statement::bind(std::string_view text) {
  sqlite3_bind_text64(statement_, ++bound_, text.empty() ? "" : text.data(), text.size(),
                      SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

Statement& Statement::bind(std::int64_t number) {
  sqlite3_bind_int64(statement_, ++bound_, number);
  return *this;
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return failure_of(sqlite3_db_handle(statement_), "running a statement");
}

Result<void> Statement::run() {
  while (TRY(step())) {
  }
  return {};
}

std::string Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (bytes == nullptr) return "";
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::int64_t Statement::number(int column) const {
  return sqlite3_column_int64(statement_, column);
}

Result<Database> Database::open(const std::string& path, const std::string& vfs) {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(), &handle,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      vfs.empty() ? nullptr : vfs.c_str());
  if (handle == nullptr) return failure(Error::kExhausted, "no memory for the state store");
  Database database(handle);
  if (code != SQLITE_OK) return failure_of(handle, "opening " + path);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  TRY(database.run(kSettings));
  return database;
}

Database::Database(Database&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)), prepared_(std::move(other.prepared_)) {
  other.prepared_.clear();
}

Database::~Database() {
  for (const auto& [sql, statement] : prepared_) sqlite3_finalize(statement);
  sqlite3_close(database_);
}

Result<void> Database::run(const std::string& sql) {
  if (sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return failure_of(database_, "running a statement");
}

Result<std::string> Database::image() {
  sqlite3_int64 size = 0;
  const std::unique_ptr<unsigned char, void (*)(void*)> bytes(
      sqlite3_serialize(database_, "main", &size, 0), sqlite3_free);
  if (!bytes) return failure(Error::kExhausted, "the state store could not be copied into memory");
  return std::string(reinterpret_cast<const char*>(bytes.get()), static_cast<std::size_t>(size));
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt*& statement = prepared_[std::string(sql)];
  if (statement == nullptr
      && sqlite3_prepare_v3(database_, sql.data(), static_cast<int>(sql.size()),
                            SQLITE_PREPARE_PERSISTENT, &statement, nullptr)
             != SQLITE_OK) {
    return failure_of(database_, "preparing a statement");
  }
  return Statement(statement);
}

Result<Transaction> Transaction::begin(Database& database) {
  TRY(database.run("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Transaction::~Transaction() {
  if (database_ != nullptr) static_cast<void>(database_->run("ROLLBACK"));
}

Result<void> Transaction::commit() {
  TRY(database_->run("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace gatehouse::control
