// SPDX-License-Identifier: Apache-2.0
// Brake: what stops one sandbox, handed over when it was made: files and pidfds that work with
// every other role dead or captured. Nothing here waits.
#pragma once

#include <string>

#include "base/id.h"
#include "ipc/sandbox.h"
#include "net/descriptor.h"

namespace gatehouse::supervisor {

struct Brake {
  net::Descriptor freezer;  // cgroup.freeze, freezer.state of cgroup v1, or nothing that freezes
  net::Descriptor killer;   // cgroup.kill, or a pidfd
  ipc::Freezer freezer_kind = ipc::Freezer::kV2;
  bool kill_by_pidfd = false;
  TraceId trace;  // with the tenant, for the record
  std::string tenant;

  // Whether the kernel took the word. What nothing can freeze is destroyed by `freeze`, and not
  // brought back by `thaw`.
  [[nodiscard]] bool freeze() const;
  [[nodiscard]] bool thaw() const;
  [[nodiscard]] bool destroy() const;
};

}  // namespace gatehouse::supervisor
