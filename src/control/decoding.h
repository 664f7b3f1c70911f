// SPDX-License-Identifier: Apache-2.0
// Objects out of what people wrote, strictly: the same keys and the same checks, whether they stand
// in gatehouse.yaml or came through the admin API.
#pragma once

#include <expected>
#include <string>

#include "control/config.h"
#include "control/store.h"
#include "control/yaml.h"

namespace gatehouse::control {

// The whole file. What is wrong is added to `problems`.
[[nodiscard]] Config decode_document(const Yaml& document, const ReadNamed& read,
                                     Problems& problems);

// One object that is made or changed by itself.
struct NewObject {
  Kind kind = Kind::kTenant;
  std::string tenant;
  std::string agent;  // of a rule
  Yaml node;          // a mapping with its name, as an item of the file's list
};
// `state` is what it may name; an object of the same kind and name there is what it replaces.
[[nodiscard]] std::expected<Object, Problems> decode_object(const NewObject& given,
                                                            const State& state,
                                                            const ReadNamed& read);

}  // namespace gatehouse::control
