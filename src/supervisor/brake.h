// SPDX-License-Identifier: Apache-2.0
// Brake: what stops one sandbox, handed over when it was made: files and pidfds that work with
// every other role dead or captured. Nothing here waits.
#pragma once

#include <string>

#include "base/id.h"
#include "net/descriptor.h"

namespace gatehouse::supervisor {

struct Brake {
  net::Descriptor freezer;  // cgroup.freeze, or freezer.state of cgroup v1
  net::Descriptor killer;   // cgroup.kill, or a pidfd
  bool freezer_v1 = false;
  bool kill_by_pidfd = false;
  TraceId trace;  // with the tenant, for the record
  std::string tenant;

  // Whether the kernel took the word.
  [[nodiscard]] bool freeze() const;
  [[nodiscard]] bool thaw() const;
  [[nodiscard]] bool destroy() const;
};

}  // namespace gatehouse::supervisor
