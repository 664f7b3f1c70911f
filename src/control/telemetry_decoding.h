// SPDX-License-Identifier: Apache-2.0
// The part of gatehouse.yaml that telemetry.h is about.
#pragma once

#include "control/config.h"
#include "control/telemetry.h"
#include "control/yaml.h"

namespace gatehouse::control {

// Takes its keys out of the file's top level.
[[nodiscard]] Telemetry decode_telemetry(Section& file, const ReadNamed& read, Problems& problems);

}  // namespace gatehouse::control
