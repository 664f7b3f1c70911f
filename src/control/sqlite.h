// SPDX-License-Identifier: Apache-2.0
// SQLite behind Result: one connection, statements that are prepared once, values that are bound,
// never spliced into text. Of one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace gatehouse::control {

// One use of a prepared statement; it is reset when this goes.
class Statement {
 public:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  Statement(Statement&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  Statement& bind(std::string_view text);
  Statement& bind(std::int64_t number);
  // Whether there is a row. Errors: see Database.
  [[nodiscard]] Result<bool> step();
  // For statements without rows.
  [[nodiscard]] Result<void> run();

  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] std::int64_t number(int column) const;

 private:
  sqlite3_stmt* statement_;
  int bound_ = 0;
};

// Durable at each commit (synchronous=FULL); one process, so the lock is kept and WAL needs no
// shared memory. Errors: kConflict (a constraint), kExhausted (no space), kCorrupt, kInternal.
class Database {
 public:
  // `vfs` names a registered VFS; "" is SQLite's own.
  [[nodiscard]] static Result<Database> open(const std::string& path, const std::string& vfs);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) = delete;
  ~Database();

  // Statements without values, one or many.
  [[nodiscard]] Result<void> run(const std::string& sql);
  // The whole database as one file, as of the last commit.
  [[nodiscard]] Result<std::string> image();
  // `sql` is one of a fixed set of texts.
  [[nodiscard]] Result<Statement> prepare(std::string_view sql);

 private:
  explicit Database(sqlite3* database) : database_(database) {}
  sqlite3* database_;
  std::unordered_map<std::string, sqlite3_stmt*> prepared_;
};

// Rolled back when it goes without commit.
class Transaction {
 public:
  [[nodiscard]] static Result<Transaction> begin(Database& database);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  [[nodiscard]] Result<void> commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace gatehouse::control
