// SPDX-License-Identifier: Apache-2.0
// The home volume: a directory on the host that outlives the Runs of one Agent for one User.
#pragma once

#include "base/result.h"
#include "net/descriptor.h"
#include "sandbox/plan.h"

namespace gatehouse::sandbox {

// Opens the plan's volume. One that is not there is made first, as a copy of the plan's skeleton
// if it has one, and belongs to the plan's uid; it appears whole or not at all. Errors:
// kUnsupported, with the path.
[[nodiscard]] Result<net::Descriptor> open_volume(const Plan& plan);

}  // namespace gatehouse::sandbox
