// SPDX-License-Identifier: Apache-2.0
// A sandbox's cgroups: limits on v2 or v1, whichever hierarchy has the controllers; freezing and
// killing on v2 where there is one. What cannot be enforced is said, never passed over.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/descriptor.h"

namespace gatehouse::sandbox {

class Cgroup {
 public:
  struct Limits {
    std::uint64_t memory_most_bytes = 0;
    std::uint32_t pids_most = 0;
  };
  // Errors: kUnsupported when neither hierarchy is there or nothing can freeze.
  [[nodiscard]] static Result<std::unique_ptr<Cgroup>> make(const std::string& name,
                                                            const Limits& limits);
  // Removes the directories; what still runs in them is killed first.
  ~Cgroup();
  // Kills what an owner that is gone has left under that name, and removes what is empty by now.
  // Returns whether nothing is left.
  [[nodiscard]] static bool clear_left(const std::string& name);
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  // Moves this process out of whatever group it was started in, which a service manager may kill as
  // a whole, into one for wardens. Errors: kUnsupported (there is no cgroup2), the kernel's.
  [[nodiscard]] static Result<void> leave_for_wardens();

  [[nodiscard]] Result<void> add(int pid);
  void kill_all() const;
  void thaw() const;
  [[nodiscard]] int freeze_fd() const { return freeze_.get(); }
  [[nodiscard]] int kill_fd() const { return kill_.get(); }
  [[nodiscard]] bool freezer_v1() const { return freezer_v1_; }
  [[nodiscard]] const std::vector<std::string>& not_enforced() const { return not_enforced_; }

 private:
  Cgroup() = default;
  std::vector<std::string> directories_;
  net::Descriptor freeze_;
  net::Descriptor kill_;
  bool freezer_v1_ = false;
  std::vector<std::string> not_enforced_;
};

}  // namespace gatehouse::sandbox
