// SPDX-License-Identifier: Apache-2.0
// Lists of models, as providers give them, with names that the house has for models of its own.
// Sans-I/O; what the provider said stays byte for byte as it is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "wire/llm_endpoint.h"

namespace gatehouse::wire {

// Of a request for models, by its canonical path: what it is for.
struct ModelQuery {
  bool is_list = false;  // all of them; else the one of that name
  std::string name;
};
// `endpoint` is one of models, found at `path`.
[[nodiscard]] ModelQuery model_query(const LlmEndpoint& endpoint, std::string_view path);

// A model of that name, as the dialect has it. It says no more than its name and that it is the
// house's: nobody here knows what stands behind it.
[[nodiscard]] std::string model_json(const LlmEndpoint& endpoint, std::string_view name);

// `list` with these names before those that it has; one that it has already is not added. Errors:
// kInvalid when it is no list of the dialect's.
[[nodiscard]] Result<std::string> models_with(const LlmEndpoint& endpoint, std::string_view list,
                                              const std::vector<std::string>& names);

}  // namespace gatehouse::wire
