// SPDX-License-Identifier: Apache-2.0
// The names of model routes among a provider's models: an agent that lists them is told of those
// that it may ask for, and one that asks for such a name is answered here. Of the gateway's thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gateway/exchange.h"

namespace gatehouse::gateway {

// The names that this agent may ask for: a rule lets it, and lets it ask one of the targets.
[[nodiscard]] std::vector<std::string> aliases_for(const Exchange& of);

// What is added to the answer of a GET of all models, on its first page; none of another request.
[[nodiscard]] std::vector<std::string> listed_aliases(const Exchange& of);

// The answer to a GET of one model whose name is such a name.
[[nodiscard]] std::optional<std::string> answer_as_alias(const Exchange& of);

}  // namespace gatehouse::gateway
