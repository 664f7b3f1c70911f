// SPDX-License-Identifier: Apache-2.0
// The state store: what objects there are and who may change each, the Runs, who is signed in and
// what was answered to requests that may come again. The one source of what is in force; the file
// is applied to it. Belongs to control's thread. It holds no secret: of a session, a digest.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "base/time.h"
#include "control/config.h"
#include "control/objects.h"

namespace gatehouse::control {

// One object with its owner.
struct Stored {
  Object object;
  Source source = Source::kFile;
  std::int64_t version = 0;  // another one after each change, also of an object of the same name
};

// Everything that is in force, in a fixed order: by kind, tenant, then name; rules as they were
// given.
struct State {
  std::vector<Stored> objects;
  template <class T>
  [[nodiscard]] std::vector<const T*> all() const;
  // Null when there is none.
  [[nodiscard]] const Stored* stored(Kind kind, std::string_view tenant,
                                     std::string_view name) const;
  // Null when there is none.
  template <class T>
  [[nodiscard]] const T* find(std::string_view tenant, std::string_view name) const;
};

// What applying a file did, as "user alice".
struct Applied {
  std::vector<std::string> added;
  std::vector<std::string> changed;
  std::vector<std::string> removed;
  std::size_t unchanged = 0;
};

struct Run {
  RunId id = RunId::from_bytes({});
  TraceId trace;
  std::string tenant;
  std::string user;
  std::string agent;
  WallTime started;
  WallTime ended;  // zero: it runs
  std::int32_t exit_status = 0;
  std::string boot;  // boot_id of the machine at its start: no Run in a sandbox outlives that
  // Of a Run without a sandbox; "" of one with.
  std::string thumbprint;  // SHA-256 of its client certificate, base64url
  std::string by;          // who began it, and alone may renew its token
  [[nodiscard]] bool is_attached() const { return !thumbprint.empty(); }
  [[nodiscard]] bool is_live() const { return ended == WallTime(); }
};

// What was answered to a request with an Idempotency-Key.
struct Remembered {
  std::string who;
  std::string key;
  std::string fingerprint;  // of the request
  int status = 0;
  std::string etag;
  std::string body;
  WallTime at;
};
// Makes the answer out of what was stored; it is kept in the same transaction.
using Remember = std::function<std::optional<Remembered>(const Stored&)>;

// Who is signed in. The token itself is nowhere.
struct Session {
  std::string digest;       // SHA-256 of the token, in hexadecimal
  Kind kind = Kind::kUser;  // or kAccount
  std::string tenant;
  std::string name;
  std::string issuer;               // the issuer object that vouched for them
  std::vector<std::string> claims;  // of groups, at the time
  WallTime began;
  WallTime ends;
};

class StateStore {
 public:
  virtual ~StateStore() = default;

  // Makes the file's objects exactly those of `config`, or changes nothing. Errors: kConflict when
  // an object of the same name was made by the API, or something made by it needs what the file no
  // longer has.
  [[nodiscard]] virtual Result<Applied> apply_file(const Config& config) = 0;
  // Inserts or replaces an object of the API's. Errors: kConflict for one of the file's, for one
  // that names something that is not there, and for the twin of another.
  [[nodiscard]] virtual Result<Stored> put(const Object& object, const Remember& remember = {}) = 0;
  // What `put` and `remove` would say, without doing it; a name that is not there shows at the real
  // one only.
  [[nodiscard]] virtual Result<void> try_put(const Object& object) = 0;
  [[nodiscard]] virtual Result<void> try_remove(Kind kind, const std::string& tenant,
                                                const std::string& name) = 0;
  // Errors: kNotFound; kConflict for one of the file's, or one that others need.
  [[nodiscard]] virtual Result<void> remove(Kind kind, const std::string& tenant,
                                            const std::string& name) = 0;
  [[nodiscard]] virtual Result<State> state() = 0;
  // All of it as a file that open_sqlite_store opens, for a backup.
  [[nodiscard]] virtual Result<std::string> image() = 0;

  [[nodiscard]] virtual Result<std::optional<Remembered>> remembered(const std::string& who,
                                                                     const std::string& key) = 0;
  [[nodiscard]] virtual Result<void> remember(const Remembered& answer) = 0;
  [[nodiscard]] virtual Result<void> forget_before(WallTime at) = 0;

  // A session ends with its user or account, when that is changed, and when a hundred later ones of
  // theirs have begun. Errors: kConflict when there
  // is no such user or account.
  [[nodiscard]] virtual Result<void> begin_session(const Session& session) = 0;
  // Also one whose time is over. Errors: kNotFound.
  [[nodiscard]] virtual Result<Session> session(const std::string& digest) = 0;
  [[nodiscard]] virtual Result<void> end_session(const std::string& digest) = 0;
  // All of a user or account; how many there were.
  [[nodiscard]] virtual Result<std::int64_t> end_sessions_of(Kind kind, const std::string& tenant,
                                                             const std::string& name) = 0;

  [[nodiscard]] virtual Result<void> start_run(const Run& run) = 0;
  // Idempotent: the first end holds. Errors: kNotFound.
  [[nodiscard]] virtual Result<void> end_run(RunId run, WallTime at, std::int32_t exit_status) = 0;
  // The newest first.
  [[nodiscard]] virtual Result<std::vector<Run>> runs(std::uint32_t most) = 0;
  [[nodiscard]] virtual Result<std::vector<Run>> runs_of(const std::string& tenant,
                                                         std::uint32_t most) = 0;
  [[nodiscard]] virtual Result<std::vector<Run>> live_runs() = 0;
  // Errors: kNotFound.
  [[nodiscard]] virtual Result<Run> run(RunId run) = 0;
};

// `path` is the database file; `vfs` as in Database::open.
[[nodiscard]] Result<std::unique_ptr<StateStore>> open_sqlite_store(const std::string& path,
                                                                    const std::string& vfs = "");

// What a database file is, without migrating it. Errors: kCorrupt; kUnsupported for one of a newer
// gatehouse.
struct StoreLook {
  std::uint64_t version = 0;
  std::uint64_t live_runs = 0;
};
[[nodiscard]] Result<StoreLook> look_at_store(const std::string& path);

template <class T>
std::vector<const T*> State::all() const {
  std::vector<const T*> out;
  for (const Stored& stored : objects) {
    if (const T* object = std::get_if<T>(&stored.object)) out.push_back(object);
  }
  return out;
}

template <class T>
const T* State::find(std::string_view tenant, std::string_view name) const {
  for (const T* object : all<T>()) {
    const bool same_tenant = [&] {
      if constexpr (requires { object->tenant; }) return object->tenant == tenant;
      return true;
    }();
    if (same_tenant && name_of(*object) == name) return object;
  }
  return nullptr;
}

}  // namespace gatehouse::control
