// SPDX-License-Identifier: Apache-2.0
#include "control/store.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "base/encoding.h"
#include "base/format_version.h"
#include "control/sqlite.h"

namespace gatehouse::control {
namespace {

constexpr auto kSchemaVersion = static_cast<std::int64_t>(kStateFormat.latest);
constexpr std::int64_t kRememberedMost = 10'000;  // the oldest go
constexpr std::int64_t kSessionsMost = 100;       // of one user or account; the oldest end

// A definition is the object without its keys, as JSON. What it names stands in `reference`, so
// that SQLite itself keeps the references whole; `identity` is what may not be there twice.
constexpr const char* kObjects = R"sql(
CREATE TABLE revision (last INTEGER NOT NULL) STRICT;
INSERT INTO revision VALUES (0);
CREATE TABLE object (
  kind TEXT NOT NULL, tenant TEXT NOT NULL, name TEXT NOT NULL,
  source TEXT NOT NULL CHECK (source IN ('file', 'api')), position INTEGER NOT NULL,
  version INTEGER NOT NULL, identity TEXT NOT NULL, definition TEXT NOT NULL,
  PRIMARY KEY (kind, tenant, name), CHECK (kind <> 'tenant' OR name = tenant)) STRICT;
CREATE INDEX object_identity ON object (tenant, identity) WHERE identity <> '';
CREATE TABLE reference (
  kind TEXT NOT NULL, tenant TEXT NOT NULL, name TEXT NOT NULL,
  to_kind TEXT NOT NULL, to_name TEXT NOT NULL,
  PRIMARY KEY (kind, tenant, name, to_kind, to_name),
  FOREIGN KEY (kind, tenant, name) REFERENCES object (kind, tenant, name) ON DELETE CASCADE,
  FOREIGN KEY (to_kind, tenant, to_name) REFERENCES object (kind, tenant, name)
    DEFERRABLE INITIALLY DEFERRED) STRICT;
CREATE INDEX reference_to ON reference (to_kind, tenant, to_name);
CREATE TABLE remembered (
  who TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, status INTEGER NOT NULL,
  etag TEXT NOT NULL, body TEXT NOT NULL, at_ns INTEGER NOT NULL,
  PRIMARY KEY (who, key)) STRICT;
CREATE INDEX remembered_at ON remembered (at_ns);
CREATE TABLE session (
  digest TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('user', 'account')),
  tenant TEXT NOT NULL, name TEXT NOT NULL, issuer TEXT NOT NULL, claims TEXT NOT NULL,
  began_ns INTEGER NOT NULL, ends_ns INTEGER NOT NULL,
  FOREIGN KEY (kind, tenant, name) REFERENCES object (kind, tenant, name) ON DELETE CASCADE
) STRICT;
CREATE INDEX session_of ON session (kind, tenant, name);
CREATE INDEX session_ends ON session (ends_ns);
)sql";

constexpr const char* kRuns = R"sql(
CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;
CREATE TABLE run (
  id TEXT NOT NULL PRIMARY KEY, trace TEXT NOT NULL, tenant TEXT NOT NULL, user TEXT NOT NULL,
  agent TEXT NOT NULL, started_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL,
  exit_status INTEGER NOT NULL, boot TEXT NOT NULL) STRICT;
CREATE INDEX run_live ON run (ended_ns) WHERE ended_ns = 0;
)sql";

// Version 2 had Runs in sandboxes only.
constexpr const char* kAttachedRuns = R"sql(
ALTER TABLE run ADD COLUMN thumbprint TEXT NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN began_by TEXT NOT NULL DEFAULT '';
)sql";

// Version 1 had a table a kind. The order is that of its objects' references.
constexpr std::array<const char*, 5> kTablesOfVersion1 = {"tenant", "user", "service", "agent",
                                                          "rule"};

constexpr std::string_view kRunColumns =
    "id, trace, tenant, user, agent, started_ns, ended_ns, exit_status, boot, "
    "thumbprint, began_by";

std::string what_is(Kind kind, std::string_view name) {
  return fmt::format("{} {}", text(kind), name);
}

// A line each; no claim that is kept holds one.
std::string claims_text(const std::vector<std::string>& claims) {
  return fmt::format("{}", fmt::join(claims, "\n"));
}
std::vector<std::string> claims_in(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    out.emplace_back(line);
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return out;
}

using Key = std::tuple<Kind, std::string, std::string>;
struct Row {
  Source source = Source::kFile;
  std::int64_t position = 0;
  std::string definition;
  std::int64_t version = 0;
};

Source source_named(std::string_view name) { return name == "file" ? Source::kFile : Source::kApi; }

class SqliteStore final : public StateStore {
 public:
  explicit SqliteStore(Database database) : database_(std::move(database)) {}

  Result<void> prepare_schema() {
    Transaction transaction = TRY(Transaction::begin(database_));
    std::int64_t found = TRY(version_found());
    if (found == 0) {
      TRY(database_.run(kRuns));
      TRY(database_.run(kObjects));
      TRY(database_.run(kAttachedRuns));
      Statement insert = TRY(database_.prepare("INSERT INTO schema_version VALUES (?)"));
      TRY(insert.bind(kSchemaVersion).run());
      found = kSchemaVersion;
    }
    if (found == 1) {
      TRY(migrate_from_1());
      found = 2;
    }
    if (found == 2) {
      TRY(database_.run(kAttachedRuns));
      TRY(database_.run("UPDATE schema_version SET version = 3"));
      found = 3;
    }
    if (found == 3) {  // the same tables; who read 3 does not know every kind of service
      TRY(database_.run("UPDATE schema_version SET version = 4"));
      found = 4;
    }
    if (found == 4) {  // the same: services may be other agents, rules may have operations
      TRY(database_.run("UPDATE schema_version SET version = 5"));
      found = 5;
    }
    if (found == 5) {  // the same: rules may have models, and operations of a model provider
      TRY(database_.run("UPDATE schema_version SET version = 6"));
      found = 6;
    }
    if (found != kSchemaVersion) {
      return newer_format(kStateFormat, static_cast<std::uint64_t>(found));
    }
    return transaction.commit();
  }

  // Of one that has a schema.
  Result<StoreLook> look() {
    Statement check = TRY(database_.prepare("PRAGMA quick_check(1)"));
    if (!TRY(check.step()) || check.text(0) != "ok") {
      return failure(Error::kCorrupt, "the state store is damaged: " + printable(check.text(0)));
    }
    const std::int64_t found = TRY(version_found());
    if (found == 0) return failure(Error::kCorrupt, "the state store does not say its version");
    if (found > kSchemaVersion) {
      return newer_format(kStateFormat, static_cast<std::uint64_t>(found));
    }
    // Every version has had this table.
    Statement live = TRY(database_.prepare("SELECT count(*) FROM run WHERE ended_ns = 0"));
    TRY(live.step());
    return StoreLook{static_cast<std::uint64_t>(found), static_cast<std::uint64_t>(live.number(0))};
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
      const bool found_changes = found == before.end() || found->second.position != row.position
                                 || found->second.definition != row.definition;
      if (found == before.end()) {
        applied.added.push_back(what);
      } else if (found->second.source == Source::kApi) {
        conflicts.push_back(what);
      } else if (found->second.definition != row.definition) {
        TRY(end_sessions(key));
        applied.changed.push_back(what);
      } else {
        ++applied.unchanged;
      }
      if (found != before.end()) before.erase(found);
      if (found_changes) TRY(write(key, row, object));
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
    TRY(refuse_twins());
    TRY(commit(transaction,
               "an object made by the API needs one that gatehouse.yaml no longer "
               "has; remove that object first"));
    return applied;
  }

  Result<Stored> put(const Object& object, const Remember& remember) override {
    Transaction transaction = TRY(Transaction::begin(database_));
    Stored stored = TRY(put_open(object));
    if (remember) TRY(keep(remember(stored)));
    TRY(commit(transaction, "it names something that is not there"));
    return stored;
  }
  Result<void> try_put(const Object& object) override {
    const Transaction rolled_back = TRY(Transaction::begin(database_));
    TRY(put_open(object));
    return {};
  }

  Result<void> remove(Kind kind, const std::string& tenant, const std::string& name) override {
    Transaction transaction = TRY(Transaction::begin(database_));
    TRY(remove_open({kind, tenant, name}));
    return commit(transaction, what_is(kind, name) + " is still needed by another object");
  }
  Result<void> try_remove(Kind kind, const std::string& tenant, const std::string& name) override {
    const Transaction rolled_back = TRY(Transaction::begin(database_));
    return remove_open({kind, tenant, name});
  }

  Result<std::string> image() override { return database_.image(); }
  Result<State> state() override {
    std::vector<std::pair<std::int64_t, Stored>> rules;
    State state;
    for (const auto& [key, row] : TRY(rows())) {
      const auto& [kind, tenant, name] = key;
      Stored stored{TRY(object_from(kind, tenant, name, row.definition)), row.source, row.version};
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
        "INSERT INTO run (id, trace, tenant, user, agent, started_ns, ended_ns, exit_status, boot,"
        " thumbprint, began_by) VALUES (?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?)"));
    insert.bind(run.id.text()).bind(run.trace.text()).bind(run.tenant).bind(run.user);
    insert.bind(run.agent).bind(run.started.unix_nanos()).bind(run.boot);
    return insert.bind(run.thumbprint).bind(run.by).run();
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
    return runs_in(select);
  }

  Result<std::vector<Run>> runs_of(const std::string& tenant, std::uint32_t most) override {
    Statement select = TRY(database_.prepare(
        fmt::format("SELECT {} FROM run WHERE tenant = ? ORDER BY started_ns DESC, id DESC LIMIT ?",
                    kRunColumns)));
    select.bind(tenant).bind(std::int64_t{most});
    return runs_in(select);
  }

  Result<std::vector<Run>> live_runs() override {
    Statement select = TRY(database_.prepare(
        fmt::format("SELECT {} FROM run WHERE ended_ns = 0 ORDER BY started_ns, id", kRunColumns)));
    return runs_in(select);
  }

  Result<Run> run(RunId id) override {
    Statement select =
        TRY(database_.prepare(fmt::format("SELECT {} FROM run WHERE id = ?", kRunColumns)));
    select.bind(id.text());
    std::vector<Run> found = TRY(runs_in(select));
    if (found.empty()) return failure(Error::kNotFound, "there is no run " + id.text());
    return std::move(found.front());
  }

  Result<std::optional<Remembered>> remembered(const std::string& who,
                                               const std::string& key) override {
    Statement select = TRY(database_.prepare(
        "SELECT fingerprint, status, etag, body, at_ns FROM remembered WHERE who = ? AND key = ?"));
    select.bind(who).bind(key);
    if (!TRY(select.step())) return std::nullopt;
    return Remembered{who,
                      key,
                      select.text(0),
                      static_cast<int>(select.number(1)),
                      select.text(2),
                      select.text(3),
                      WallTime(select.number(4))};
  }
  Result<void> remember(const Remembered& answer) override { return keep(answer); }
  Result<void> forget_before(WallTime at) override {
    Statement erase_old = TRY(database_.prepare("DELETE FROM remembered WHERE at_ns < ?"));
    return erase_old.bind(at.unix_nanos()).run();
  }

  Result<void> begin_session(const Session& session) override {
    Statement insert = TRY(database_.prepare(
        "INSERT INTO session (digest, kind, tenant, name, issuer, claims, began_ns, ends_ns)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
    insert.bind(session.digest).bind(text(session.kind)).bind(session.tenant).bind(session.name);
    insert.bind(session.issuer).bind(claims_text(session.claims));
    TRY(insert.bind(session.began.unix_nanos()).bind(session.ends.unix_nanos()).run());
    Statement old = TRY(database_.prepare("DELETE FROM session WHERE ends_ns < ?"));
    TRY(old.bind(session.began.unix_nanos()).run());
    Statement trim =
        TRY(database_.prepare("DELETE FROM session WHERE digest IN (SELECT digest FROM session"
                              " WHERE kind = ? AND tenant = ? AND name = ?"
                              " ORDER BY began_ns DESC, digest LIMIT -1 OFFSET ?)"));
    trim.bind(text(session.kind)).bind(session.tenant).bind(session.name);
    return trim.bind(kSessionsMost).run();
  }
  Result<Session> session(const std::string& digest) override {
    Statement select = TRY(database_.prepare(
        "SELECT kind, tenant, name, issuer, claims, began_ns, ends_ns FROM session"
        " WHERE digest = ?"));
    select.bind(digest);
    if (!TRY(select.step())) return failure(Error::kNotFound, "there is no such session");
    return Session{digest,
                   kind_named(select.text(0)).value_or(Kind::kUser),
                   select.text(1),
                   select.text(2),
                   select.text(3),
                   claims_in(select.text(4)),
                   WallTime(select.number(5)),
                   WallTime(select.number(6))};
  }
  Result<void> end_session(const std::string& digest) override {
    Statement erase_one = TRY(database_.prepare("DELETE FROM session WHERE digest = ?"));
    return erase_one.bind(digest).run();
  }

  Result<std::int64_t> end_sessions_of(Kind kind, const std::string& tenant,
                                       const std::string& name) override {
    Transaction transaction = TRY(Transaction::begin(database_));
    std::int64_t count = 0;
    {
      Statement select = TRY(database_.prepare(
          "SELECT count(*) FROM session WHERE kind = ? AND tenant = ? AND name = ?"));
      select.bind(text(kind)).bind(tenant).bind(name);
      TRY(select.step());
      count = select.number(0);
    }
    TRY(end_sessions({kind, tenant, name}));
    TRY(transaction.commit());
    return count;
  }

 private:
  // Within a transaction of the caller's.
  Result<Stored> put_open(const Object& object) {
    const Key key{kind_of(object), tenant_of(object), name_of(object)};
    const auto before = TRY(row(key));
    if (before) TRY(refuse_of_file(key, *before));
    const std::int64_t position = before ? before->position : TRY(next_position());
    TRY(write(key, {Source::kApi, position, definition_of(object)}, object));
    if (before) TRY(end_sessions(key));
    TRY(refuse_twins());
    return Stored{object, Source::kApi, TRY(last_revision())};
  }
  Result<void> remove_open(const Key& key) {
    const auto& [kind, tenant, name] = key;
    const auto before = TRY(row(key));
    if (!before) return failure(Error::kNotFound, "there is no " + what_is(kind, name));
    TRY(refuse_of_file(key, *before));
    const std::string needed_by = TRY(first_that_names(key));
    if (!needed_by.empty()) {
      return failure(Error::kConflict, fmt::format("{} is still needed by {}; remove that first",
                                                   what_is(kind, name), needed_by));
    }
    return erase(key);
  }

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

  // With its references, as a new version.
  Result<void> write(const Key& key, const Row& row, const Object& object) {
    const auto& [kind, tenant, name] = key;
    TRY(database_.run("UPDATE revision SET last = last + 1"));
    Statement statement = TRY(database_.prepare(
        "INSERT INTO object (kind, tenant, name, source, position, identity, definition, version)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT last FROM revision))"
        " ON CONFLICT (kind, tenant, name) DO UPDATE SET source = excluded.source,"
        " position = excluded.position, identity = excluded.identity,"
        " definition = excluded.definition, version = excluded.version"));
    statement.bind(text(kind)).bind(tenant).bind(name).bind(text(row.source)).bind(row.position);
    TRY(statement.bind(identity_of(object)).bind(row.definition).run());
    Statement forget =
        TRY(database_.prepare("DELETE FROM reference WHERE kind = ? AND tenant = ? AND name = ?"));
    TRY(forget.bind(text(kind)).bind(tenant).bind(name).run());
    for (const Reference& to : references_of(object)) {
      Statement refer =
          TRY(database_.prepare("INSERT INTO reference (kind, tenant, name, to_kind, to_name)"
                                " VALUES (?, ?, ?, ?, ?)"));
      refer.bind(text(kind)).bind(tenant).bind(name).bind(text(to.kind));
      TRY(refer.bind(to.name).run());
    }
    return {};
  }

  Result<void> erase(const Key& key) {
    const auto& [kind, tenant, name] = key;
    Statement statement =
        TRY(database_.prepare("DELETE FROM object WHERE kind = ? AND tenant = ? AND name = ?"));
    return statement.bind(text(kind)).bind(tenant).bind(name).run();
  }

  // Two that nobody could tell apart. Errors: kConflict.
  Result<void> refuse_twins() {
    Statement select = TRY(database_.prepare(
        "SELECT a.kind, a.name, b.name, a.identity FROM object a JOIN object b ON a.tenant ="
        " b.tenant AND a.identity = b.identity AND a.name < b.name WHERE a.identity <> ''"));
    if (!TRY(select.step())) return {};
    return failure(Error::kConflict,
                   fmt::format("{} {} and {} would both be \"{}\"", select.text(0), select.text(1),
                               select.text(2), select.text(3)));
  }

  // "rule claw/read", or "".
  Result<std::string> first_that_names(const Key& key) {
    const auto& [kind, tenant, name] = key;
    Statement select = TRY(database_.prepare(
        "SELECT kind, name FROM reference WHERE to_kind = ? AND tenant = ? AND to_name = ?"
        " ORDER BY kind, name LIMIT 1"));
    select.bind(text(kind)).bind(tenant).bind(name);
    if (!TRY(select.step())) return "";
    return fmt::format("{} {}", select.text(0), select.text(1));
  }

  Result<std::map<Key, Row>> rows() {
    std::map<Key, Row> all;
    Statement select = TRY(database_.prepare(
        "SELECT kind, tenant, name, source, position, definition, version FROM object"));
    while (TRY(select.step())) {
      const auto kind = kind_named(select.text(0));
      if (!kind) {
        return failure(Error::kCorrupt, "the state store has a " + printable(select.text(0)));
      }
      all[Key{*kind, select.text(1), select.text(2)}] = {
          source_named(select.text(3)), select.number(4), select.text(5), select.number(6)};
    }
    return all;
  }

  Result<std::optional<Row>> row(const Key& key) {
    const auto& [kind, tenant, name] = key;
    Statement select =
        TRY(database_.prepare("SELECT source, position, definition, version FROM object"
                              " WHERE kind = ? AND tenant = ? AND name = ?"));
    select.bind(text(kind)).bind(tenant).bind(name);
    if (!TRY(select.step())) return std::nullopt;
    return Row{source_named(select.text(0)), select.number(1), select.text(2), select.number(3)};
  }

  Result<std::int64_t> next_position() {
    Statement most = TRY(database_.prepare("SELECT coalesce(max(position), -1) + 1 FROM object"));
    TRY(most.step());
    return most.number(0);
  }

  Result<std::int64_t> last_revision() {
    Statement last = TRY(database_.prepare("SELECT last FROM revision"));
    TRY(last.step());
    return last.number(0);
  }

  // --- what was answered, and who is signed in

  Result<void> keep(const std::optional<Remembered>& answer) {
    if (!answer) return {};
    Statement insert = TRY(database_.prepare(
        "INSERT INTO remembered (who, key, fingerprint, status, etag, body, at_ns)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)"));
    insert.bind(answer->who).bind(answer->key).bind(answer->fingerprint);
    insert.bind(std::int64_t{answer->status}).bind(answer->etag).bind(answer->body);
    TRY(insert.bind(answer->at.unix_nanos()).run());
    Statement trim =
        TRY(database_.prepare("DELETE FROM remembered WHERE rowid IN (SELECT rowid FROM remembered"
                              " ORDER BY at_ns DESC LIMIT -1 OFFSET ?)"));
    return trim.bind(kRememberedMost).run();
  }

  // Who somebody is was changed: they sign in again.
  Result<void> end_sessions(const Key& key) {
    const auto& [kind, tenant, name] = key;
    Statement erase_of =
        TRY(database_.prepare("DELETE FROM session WHERE kind = ? AND tenant = ? AND name = ?"));
    return erase_of.bind(text(kind)).bind(tenant).bind(name).run();
  }

  // --- the schema

  // 0 for a fresh file.
  Result<std::int64_t> version_found() {
    {
      Statement tables = TRY(
          database_.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'"));
      TRY(tables.step());
      if (tables.number(0) == 0) return 0;
    }
    Statement version = TRY(database_.prepare("SELECT version FROM schema_version"));
    if (!TRY(version.step()) || version.number(0) <= 0) {
      return failure(Error::kCorrupt, "the state store does not say its version");
    }
    return version.number(0);
  }

  // One table for all kinds, each object with its version and what it names.
  Result<void> migrate_from_1() {
    TRY(database_.run(kObjects));
    for (const char* table : kTablesOfVersion1) {
      std::vector<std::pair<Key, Row>> moved;
      {
        Statement select = TRY(database_.prepare(fmt::format(
            "SELECT tenant, name, source, position, definition FROM {} ORDER BY position", table)));
        while (TRY(select.step())) {
          moved.emplace_back(Key{*kind_named(table), select.text(0), select.text(1)},
                             Row{source_named(select.text(2)), select.number(3), select.text(4)});
        }
      }
      for (const auto& [key, row] : moved) {
        const auto& [kind, tenant, name] = key;
        TRY(write(key, row, TRY(object_from(kind, tenant, name, row.definition))));
      }
    }
    for (std::size_t i = kTablesOfVersion1.size(); i > 0; --i) {
      TRY(database_.run(fmt::format("DROP TABLE {}", kTablesOfVersion1.at(i - 1))));
    }
    return database_.run("UPDATE schema_version SET version = 2");
  }

  static Result<std::vector<Run>> runs_in(Statement& select) {
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
      run.thumbprint = select.text(9);
      run.by = select.text(10);
      out.push_back(std::move(run));
    }
    return out;
  }

  Database database_;
};

}  // namespace

const Stored* State::stored(Kind kind, std::string_view tenant, std::string_view name) const {
  const auto found = std::find_if(objects.begin(), objects.end(), [&](const Stored& stored) {
    return kind_of(stored.object) == kind && tenant_of(stored.object) == tenant
           && name_of(stored.object) == name;
  });
  return found == objects.end() ? nullptr : &*found;
}

Result<StoreLook> look_at_store(const std::string& path) {
  return SqliteStore(TRY(Database::open(path, ""))).look();
}

Result<std::unique_ptr<StateStore>> open_sqlite_store(const std::string& path,
                                                      const std::string& vfs) {
  auto store = std::make_unique<SqliteStore>(TRY(Database::open(path, vfs)));
  TRY(store->prepare_schema());
  return store;
}

}  // namespace gatehouse::control
