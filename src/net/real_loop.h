// SPDX-License-Identifier: Apache-2.0
// The Loop that talks to the kernel: epoll(7) for readiness, our own timers and tasks above it.
#pragma once

#include <memory>

#include "net/loop.h"

namespace gatehouse::net {

[[nodiscard]] std::unique_ptr<Loop> make_real_loop();

}  // namespace gatehouse::net
