// SPDX-License-Identifier: Apache-2.0
// Launch: carries a Plan out. Every step is fail-closed: one that fails ends the start with an
// error that names it.
//
//   network namespace (the host's, not the sandbox's)  ->  mounts taken as detached trees  ->
//   cgroups
//   ->  clone into user, mount, pid, ipc, uts, cgroup namespaces  ->  new root, no capabilities,
//   Landlock, seccomp
//   ->  wait for the word  ->  exec of init
#pragma once

#include <sys/types.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/cgroup.h"
#include "net/descriptor.h"
#include "sandbox/network.h"
#include "sandbox/plan.h"

namespace gatehouse::sandbox {

struct Launched {
  pid_t pid = -1;  // of the sandbox's init, in this process's pid namespace
  net::Descriptor pidfd;
  DoorSockets door;
  std::unique_ptr<host::Cgroup> cgroup;
  // stdin (write end), stdout, stderr (read ends); or one PTY master.
  std::vector<net::Descriptor> stdio;
  net::Descriptor go;  // one byte lets init run; closing it without ends the sandbox
};

// `init_fd` is the init executable, opened. Must run as root, of the host or of the house's user
// namespace, in a process of its own (it moves it into the sandbox's network namespace). Errors:
// kUnsupported names the layer that this host cannot give.
[[nodiscard]] Result<Launched> launch(const Plan& plan, int init_fd);

}  // namespace gatehouse::sandbox
