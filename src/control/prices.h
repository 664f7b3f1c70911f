// SPDX-License-Identifier: Apache-2.0
// What tokens cost: the list that this gatehouse was built with (docs/prices.json, with its source
// and date), and what the operator says beside or against it (`prices` of gatehouse.yaml).
#pragma once

#include <string_view>
#include <vector>

#include "control/yaml.h"
#include "ipc/snapshot.h"

namespace gatehouse::control {

// docs/prices.json.
[[nodiscard]] std::string_view price_list();
// The same, read; one for each name.
[[nodiscard]] const std::vector<ipc::PriceSpec>& builtin_prices();

// Takes `prices` out of the file's top level.
[[nodiscard]] std::vector<ipc::PriceSpec> decode_prices(Section& file, Problems& problems);

}  // namespace gatehouse::control
