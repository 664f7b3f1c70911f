// SPDX-License-Identifier: Apache-2.0
#include "control/store.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "control/sqlite.h"

namespace gatehouse::control {
namespace {

constexpr std::int64_t kSchemaVersion = 1;

// A definition is the object without its keys, as JSON. What a rule names stands in columns beside
// it, so that SQLite itself keeps the references whole.
constexpr const char* kSchema = R"sql(
CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
CREATE TABLE tenant (
  tenant TEXT NOT NULL, name TEXT NOT NULL CHECK (name = tenant),
  source TEXT NOT NULL CHECK (source IN ('file', 'api')), position INTEGER NOT NULL,
  definition TEXT NOT NULL,
  PRIMARY KEY (tenant, name), UNIQUE (tenant)) STRICT;
CREATE TABLE user (
  tenant TEXT NOT NULL REFERENCES tenant (tenant) DEFERRABLE INITIALLY DEFERRED,
  name TEXT NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('file', 'api')), position INTEGER NOT NULL,
  definition TEXT NOT NULL,
  PRIMARY KEY (tenant, name)) STRICT;
CREATE TABLE service (
  tenant TEXT NOT NULL REFERENCES tenant (tenant) DEFERRABLE INITIALLY DEFERRED,
  name TEXT NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('file', 'api')), position INTEGER NOT NULL,
  definition TEXT NOT NULL,
  PRIMARY KEY (tenant, name)) STRICT;
CREATE TABLE agent (
  tenant TEXT NOT NULL REFERENCES tenant (tenant) DEFERRABLE INITIALLY DEFERRED,
  name TEXT NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('file', 'api')), position INTEGER NOT NULL,
  definition TEXT NOT NULL,
  PRIMARY KEY (tenant, name)) STRICT;
CREATE TABLE rule (
  tenant TEXT NOT NULL REFERENCES tenant (tenant) DEFERRABLE INITIALLY DEFERRED,
  name TEXT NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('file', 'api')), position INTEGER NOT NULL,
  definition TEXT NOT NULL,
  agent TEXT, service TEXT,
  PRIMARY KEY (tenant, name),
  FOREIGN KEY (tenant, agent) REFERENCES agent (tenant, name) DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY (tenant, service) REFERENCES service (tenant, name) DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE TABLE run (
  id TEXT NOT NULL PRIMARY KEY, trace TEXT NOT NULL, tenant TEXT NOT NULL, user TEXT NOT NULL,
  agent TEXT NOT NULL, started_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL,
  exit_status INTEGER NOT NULL, boot TEXT NOT NULL) STRICT;
CREATE INDEX run_live ON run (ended_ns) WHERE ended_ns = 0;
)sql";

constexpr std::string_view kRunColumns =
    "id, trace, tenant, user, agent, started_ns, ended_ns, exit_status, boot";

std::string what_is(Kind kind, std::string_view name) {
  return fmt::format("{} {}", text(kind), name);
}

using Key = std::tuple<Kind, std::string, std::string>;
struct Row {
  Source source = Source::kFile;
  std::int64_t position = 0;
  std::string definition;
};

class SqliteStore final : public StateStore {
 public:
  explicit SqliteStore(Database database) : database_(std::move(database)) {}

  Result<void> prepare_schema() {
    Transaction transaction = TRY(Transaction::begin(database_));
    bool fresh = false;
    {
      Statement tables = TRY(
          database_.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'"));
      TRY(tables.step());
      fresh = tables.number(0) == 0;
    }
    if (fresh) {
      TRY(database_.run(kSchema));
      Statement insert = TRY(database_.prepare("INSERT INTO schema_version VALUES (?)"));
      TRY(insert.bind(kSchemaVersion).run());
    } else {
      Statement version = TRY(database_.prepare("SELECT version FROM schema_version"));
      const bool has_row = TRY(version.step());
      const std::int64_t found = has_row ? version.number(0) : 0;
      if (found != kSchemaVersion) {
        return failure(Error::kUnsupported,
                       fmt::format("the state store has version {}, and this gatehouse reads {}; "
                                   "use the one that wrote it",
                                   found, kSchemaVersion));
      }
    }
    return transaction.commit();
  }

  Result<Applied> apply_file(const Config& config) override {
    Transaction transaction = TRY(Transaction::begin(database_));
    std::map<Key, Row> before = TRY(rows());
    Applied applied;
    std::vector<std::string> conflicts;
    std::int64_t position = 0;
    for (const Object& object : config.objects()) {
      const Key key{kind_of(object), tenant_of(object), name_of(object)};
      const std::string what = what_is(std::get<0>(key), std::get<2>(key));
      const Row row{Source::kFile, position++, definition_of(object)};
      const auto found = before.find(key);
      if (found == before.end()) {
        applied.added.push_back(what);
      } else if (found->second.source == Source::kApi) {
        conflicts.push_back(what);
      } else if (found->second.definition != row.definition) {
        applied.changed.push_back(what);
      } else {
        ++applied.unchanged;
      }
      if (found != before.end()) before.erase(found);
      TRY(write(key, row));
      TRY(refer(object));
    }
    if (!conflicts.empty()) {
      return failure(Error::kConflict,
                     fmt::format("made by the API already, so the file cannot have it too: {}; "
                                 "remove it there, or rename it in gatehouse.yaml",
                                 fmt::join(conflicts, ", ")));
    }
    for (const auto& [key, row] : before) {
      if (row.source != Source::kFile) continue;
      applied.removed.push_back(what_is(std::get<0>(key), std::get<2>(key)));
      TRY(erase(key));
    }
    TRY(commit(transaction,
               "an object made by the API needs one that gatehouse.yaml no longer "
               "has; remove that object first"));
    return applied;
  }

  Result<void> put(const Object& object) override {
    Transaction transaction = TRY(Transaction::begin(database_));
    const Key key{kind_of(object), tenant_of(object), name_of(object)};
    const auto before = TRY(row(key));
    if (before) TRY(refuse_of_file(key, *before));
    const std::int64_t position = before ? before->position : TRY(next_position());
    TRY(write(key, {Source::kApi, position, definition_of(object)}));
    TRY(refer(object));
    return commit(transaction, "it names something that is not there");
  }

  Result<void> remove(Kind kind, const std::string& tenant, const std::string& name) override {
    Transaction transaction = TRY(Transaction::begin(database_));
    const Key key{kind, tenant, name};
    const auto before = TRY(row(key));
    if (!before) return failure(Error::kNotFound, "there is no " + what_is(kind, name));
    TRY(refuse_of_file(key, *before));
    TRY(erase(key));
    return commit(transaction, what_is(kind, name) + " is still needed by another object");
  }

  Result<State> state() override {
    std::vector<std::pair<std::int64_t, Stored>> rules;
    State state;
    for (const auto& [key, row] : TRY(rows())) {
      const auto& [kind, tenant, name] = key;
      Stored stored{TRY(object_from(kind, tenant, name, row.definition)), row.source};
      if (kind == Kind::kRule) {
        rules.emplace_back(row.position, std::move(stored));
      } else {
        state.objects.push_back(std::move(stored));
      }
    }
    std::sort(rules.begin(), rules.end(), [](const auto& a, const auto& b) {
      return std::pair(a.second.source, a.first) < std::pair(b.second.source, b.first);
    });
    for (auto& [position, rule] : rules) state.objects.push_back(std::move(rule));
    return state;
  }

  Result<void> start_run(const Run& run) override {
    Statement insert = TRY(database_.prepare(
        "INSERT INTO run (id, trace, tenant, user, agent, started_ns, ended_ns, exit_status, boot)"
        " VALUES (?, ?, ?, ?, ?, ?, 0, 0, ?)"));
    insert.bind(run.id.text()).bind(run.trace.text()).bind(run.tenant).bind(run.user);
    return insert.bind(run.agent).bind(run.started.unix_nanos()).bind(run.boot).run();
  }

  Result<void> end_run(RunId id, WallTime at, std::int32_t exit_status) override {
    const Run before = TRY(run(id));
    if (!before.is_live()) return {};
    Statement update =
        TRY(database_.prepare("UPDATE run SET ended_ns = ?, exit_status = ? WHERE id = ?"));
    return update.bind(at.unix_nanos()).bind(std::int64_t{exit_status}).bind(id.text()).run();
  }

  Result<std::vector<Run>> runs(std::uint32_t most) override {
    Statement select = TRY(database_.prepare(
        fmt::format("SELECT {} FROM run ORDER BY started_ns DESC, id DESC LIMIT ?", kRunColumns)));
    select.bind(std::int64_t{most});
    return runs_of(select);
  }

  Result<std::vector<Run>> live_runs() override {
    Statement select = TRY(database_.prepare(
        fmt::format("SELECT {} FROM run WHERE ended_ns = 0 ORDER BY started_ns, id", kRunColumns)));
    return runs_of(select);
  }

  Result<Run> run(RunId id) override {
    Statement select =
        TRY(database_.prepare(fmt::format("SELECT {} FROM run WHERE id = ?", kRunColumns)));
    select.bind(id.text());
    std::vector<Run> found = TRY(runs_of(select));
    if (found.empty()) return failure(Error::kNotFound, "there is no run " + id.text());
    return std::move(found.front());
  }

 private:
  static Result<void> refuse_of_file(const Key& key, const Row& row) {
    if (row.source != Source::kFile) return {};
    return failure(Error::kConflict, fmt::format("{} is from the file: change it in gatehouse.yaml",
                                                 what_is(std::get<0>(key), std::get<2>(key))));
  }

  static Result<void> commit(Transaction& transaction, std::string_view broken_reference) {
    auto done = transaction.commit();
    if (!done && done.error() == Error::kConflict) {
      return failure(Error::kConflict, std::string(broken_reference));
    }
    return done;
  }

  Result<void> write(const Key& key, const Row& row) {
    const auto& [kind, tenant, name] = key;
    Statement statement = TRY(database_.prepare(fmt::format(
        "INSERT INTO {} (tenant, name, source, position, definition) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (tenant, name) DO UPDATE SET source = excluded.source,"
        " position = excluded.position, definition = excluded.definition",
        text(kind))));
    statement.bind(tenant).bind(name).bind(text(row.source)).bind(row.position);
    return statement.bind(row.definition).run();
  }

  // What a rule names, for the references; other objects name nothing.
  Result<void> refer(const Object& object) {
    const auto* rule = std::get_if<Rule>(&object);
    if (rule == nullptr) return {};
    Statement statement = TRY(database_.prepare(
        "UPDATE rule SET agent = ?, service = nullif(?, '') WHERE tenant = ? AND name = ?"));
    statement.bind(rule->agent).bind(rule->service).bind(rule->tenant);
    return statement.bind(name_of(Object(*rule))).run();
  }

  Result<void> erase(const Key& key) {
    const auto& [kind, tenant, name] = key;
    Statement statement = TRY(
        database_.prepare(fmt::format("DELETE FROM {} WHERE tenant = ? AND name = ?", text(kind))));
    return statement.bind(tenant).bind(name).run();
  }

  Result<std::map<Key, Row>> rows() {
    std::map<Key, Row> all;
    for (std::size_t i = 0; i < kKinds; ++i) {
      const auto kind = static_cast<Kind>(i);
      Statement select = TRY(database_.prepare(
          fmt::format("SELECT tenant, name, source, position, definition FROM {}", text(kind))));
      while (TRY(select.step())) {
        all[Key{kind, select.text(0), select.text(1)}] = {
            select.text(2) == "file" ? Source::kFile : Source::kApi, select.number(3),
            select.text(4)};
      }
    }
    return all;
  }

  Result<std::optional<Row>> row(const Key& key) {
    std::map<Key, Row> all = TRY(rows());
    const auto found = all.find(key);
    if (found == all.end()) return std::nullopt;
    return std::move(found->second);
  }

  Result<std::int64_t> next_position() {
    std::int64_t most = -1;
    for (const auto& [key, row] : TRY(rows())) most = std::max(most, row.position);
    return most + 1;
  }

  static Result<std::vector<Run>> runs_of(Statement& select) {
    std::vector<Run> out;
    while (TRY(select.step())) {
      Run run;
      run.id = TRY(RunId::parse(select.text(0)));
      run.trace = TRY(TraceId::parse(select.text(1)));
      run.tenant = select.text(2);
      run.user = select.text(3);
      run.agent = select.text(4);
      run.started = WallTime(select.number(5));
      run.ended = WallTime(select.number(6));
      run.exit_status = static_cast<std::int32_t>(select.number(7));
      run.boot = select.text(8);
      out.push_back(std::move(run));
    }
    return out;
  }

  Database database_;
};

}  // namespace

Result<std::unique_ptr<StateStore>> open_sqlite_store(const std::string& path,
                                                      const std::string& vfs) {
  auto store = std::make_unique<SqliteStore>(TRY(Database::open(path, vfs)));
  TRY(store->prepare_schema());
  return store;
}

}  // namespace gatehouse::control
