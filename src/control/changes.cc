// SPDX-License-Identifier: Apache-2.0
#include "control/changes.h"

#include <fmt/format.h>

#include <map>
#include <tuple>

#include "control/present.h"

namespace gatehouse::control {
namespace {

using Key = std::tuple<Kind, std::string, std::string>;

std::map<Key, const Object*> by_key(const State& state) {
  std::map<Key, const Object*> all;
  for (const Stored& stored : state.objects) {
    const Object& object = stored.object;
    all.emplace(Key{kind_of(object), tenant_of(object), name_of(object)}, &object);
  }
  return all;
}

}  // namespace

std::vector<Change> changes_between(const State& before, const State& after) {
  std::map<Key, std::pair<const Object*, const Object*>> both;
  for (const auto& [key, object] : by_key(before)) both[key].first = object;
  for (const auto& [key, object] : by_key(after)) both[key].second = object;
  std::vector<Change> changes;
  for (const auto& [key, pair] : both) {
    const auto& [was, is] = pair;
    if (was != nullptr && is != nullptr && *was == *is) continue;
    const auto& [kind, tenant, name] = key;
    changes.push_back({was == nullptr  ? "create"
                       : is == nullptr ? "remove"
                                       : "set",
                       tenant, fmt::format("{} {}", text(kind), name),
                       was == nullptr ? "" : cut_for_record(spec_of(*was)),
                       is == nullptr ? "" : cut_for_record(spec_of(*is))});
  }
  return changes;
}

}  // namespace gatehouse::control
