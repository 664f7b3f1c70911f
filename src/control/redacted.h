// SPDX-License-Identifier: Apache-2.0
// gatehouse.yaml for somebody else's eyes: its shape, its switches and its limits; every name,
// path, address and text in it replaced. What is shown is what is known to say nothing, so that a
// key that somebody put where it does not belong is replaced too.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace gatehouse::control {

// What stands for a text: the same for the same text.
using Pseudonym = std::function<std::string(std::string_view)>;

// As JSON; "null" when the file cannot be read as YAML.
[[nodiscard]] std::string redacted_config(const std::string& path, const Pseudonym& pseudonym);

}  // namespace gatehouse::control
