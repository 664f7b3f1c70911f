// SPDX-License-Identifier: Apache-2.0
// The sandbox's network namespace, which the sandbox does not own: `lo` and nothing else. Every
// address is local; all TCP but to 127.0.0.0/8 and ::1 is redirected to the capture listeners, port
// 53 of UDP to the Door's resolver.
#pragma once

#include <array>

#include "base/result.h"
#include "net/descriptor.h"

namespace gatehouse::sandbox {

struct DoorSockets {
  // In the order of ipc::OpenDoor: proxy, capture IPv4, capture IPv6, DNS.
  std::array<net::Descriptor, 4> fds;
};

// Moves this process into a fresh network namespace and furnishes it. Errors: kUnsupported names
// the step.
[[nodiscard]] Result<DoorSockets> make_network();

}  // namespace gatehouse::sandbox
