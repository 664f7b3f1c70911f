// SPDX-License-Identifier: Apache-2.0
// Model routes out of what people wrote: names for models at a service, and what stands behind
// each. docs/providers.md says what they do.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "control/objects.h"
#include "control/yaml.h"

namespace gatehouse::control {

// The `models` of a service of that kind. What is wrong is added to `problems`.
[[nodiscard]] std::vector<ModelRoute> model_routes(Section& service, ipc::ServiceKind kind,
                                                   Problems& problems);

// Finds a service of the same tenant; null when there is none.
using FindService = std::function<const Service*(const std::string& name)>;
// That each target of `models`, as they stand in `of`, is a service that can be asked in its place.
void check_model_routes(const Yaml& models, const Service& of, Problems& problems,
                        const FindService& find);

}  // namespace gatehouse::control
