// SPDX-License-Identifier: Apache-2.0
// The sockets in the run directory that the supervisor listens at, for itself and for roles.
#pragma once

#include <sys/socket.h>
#include <sys/stat.h>

#include <string>

#include "base/result.h"
#include "net/descriptor.h"

namespace gatehouse::supervisor {

struct SocketKind {
  int type = SOCK_STREAM;
  mode_t mode = 0666;  // who may speak is decided by SO_PEERCRED
};

// In the place of what an earlier house has left there. Errors: kInvalid when the path is too long.
[[nodiscard]] Result<net::Descriptor> listen_at(const std::string& path, SocketKind kind = {});

// At an IP address that is this machine's own, `ADDRESS:PORT`; an IPv6 address in brackets. Errors:
// kInvalid; kConflict when somebody else listens there.
[[nodiscard]] Result<net::Descriptor> listen_at_address(const std::string& address);

}  // namespace gatehouse::supervisor
