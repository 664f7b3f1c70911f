// SPDX-License-Identifier: Apache-2.0
// The state store: what tenants, users, services, agents and rules there are, who may change each,
// and the Runs. The one source of what is in force; the file is applied to it. Belongs to control's
// thread. It holds no secret.
#pragma once

#include <cstdint>
#include <memory>
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
};

// Everything that is in force, in a fixed order: by kind, tenant, then name; rules as they were
// given.
struct State {
  std::vector<Stored> objects;
  template <class T>
  [[nodiscard]] std::vector<const T*> all() const;
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
  std::string boot;  // boot_id of the machine at its start: no Run outlives that
  [[nodiscard]] bool is_live() const { return ended == WallTime(); }
};

class StateStore {
 public:
  virtual ~StateStore() = default;

  // Makes the file's objects exactly those of `config`, or changes nothing. Errors: kConflict when
  // an object of the same name was made by the API, or something made by it needs what the file no
  // longer has.
  [[nodiscard]] virtual Result<Applied> apply_file(const Config& config) = 0;
  // Inserts or replaces an object of the API's. Errors: kConflict for one of the file's.
  [[nodiscard]] virtual Result<void> put(const Object& object) = 0;
  // Errors: kNotFound; kConflict for one of the file's, or one that others need.
  [[nodiscard]] virtual Result<void> remove(Kind kind, const std::string& tenant,
                                            const std::string& name) = 0;
  [[nodiscard]] virtual Result<State> state() = 0;

  [[nodiscard]] virtual Result<void> start_run(const Run& run) = 0;
  // Idempotent: the first end holds. Errors: kNotFound.
  [[nodiscard]] virtual Result<void> end_run(RunId run, WallTime at, std::int32_t exit_status) = 0;
  // The newest first.
  [[nodiscard]] virtual Result<std::vector<Run>> runs(std::uint32_t most) = 0;
  [[nodiscard]] virtual Result<std::vector<Run>> live_runs() = 0;
  // Errors: kNotFound.
  [[nodiscard]] virtual Result<Run> run(RunId run) = 0;
};

// `path` is the database file; `vfs` as in Database::open.
[[nodiscard]] Result<std::unique_ptr<StateStore>> open_sqlite_store(const std::string& path,
                                                                    const std::string& vfs = "");

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
