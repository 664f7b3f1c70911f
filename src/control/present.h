// SPDX-License-Identifier: Apache-2.0
// Objects as the admin API shows and takes them: JSON, with the keys of gatehouse.yaml.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "control/store.h"
#include "control/yaml.h"

namespace gatehouse::control {

// What an object says beside its name, as an item of the file's list would; what is as it is
// without being said is left out. `upstream_ca` and `ca` are the certificates themselves.
[[nodiscard]] std::string spec_of(const Object& object);
// What is put on record of such a text: all of it, or its first 10 KiB with its size and digest.
[[nodiscard]] std::string cut_for_record(const std::string& text);
// {"kind", "tenant", "name", "from", "version", "spec"}; of a rule also {"agent"}, and its name is
// its id.
[[nodiscard]] std::string shown(const Stored& stored);

// A JSON text as the tree that YAML is read into. Errors: what is wrong with it; its size is the
// caller's to bound.
[[nodiscard]] std::expected<Yaml, Problem> tree_of_json(std::string_view text);

// The other way, for specs that people write in YAML. Errors: kInvalid when it is not YAML.
[[nodiscard]] Result<std::string> json_of_yaml(std::string_view yaml);

}  // namespace gatehouse::control
