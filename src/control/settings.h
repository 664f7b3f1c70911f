// SPDX-License-Identifier: Apache-2.0
// What the file says of the house itself and not of its objects: where its data is, its log, its
// ports, the way to the world.
#pragma once

#include "control/config.h"
#include "control/yaml.h"

namespace gatehouse::control {

void decode_settings(Section& file, const ReadNamed& read, Problems& problems, Config& config);

}  // namespace gatehouse::control
