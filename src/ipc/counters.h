// SPDX-License-Identifier: Apache-2.0
// What every process of the house counts, beside what is its role's own.
#pragma once

#include "ipc/control_gateway.h"

namespace gatehouse::ipc {

// Adds `ipc.unpermitted`, `bugs` and `cpu_ns` (this process's time on processors) to the list.
void add_process_counters(CounterList& list);

}  // namespace gatehouse::ipc
