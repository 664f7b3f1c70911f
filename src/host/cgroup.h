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

namespace gatehouse::host {

// Where a house's cgroups are: at the root of every hierarchy, which is root's; nowhere; or below a
// directory of cgroup2 that was delegated to this user, by its absolute path.
inline constexpr const char* kRootCgroups = "root";
inline constexpr const char* kNoCgroups = "none";

// Makes the directory of cgroup2 that this process is in ready for sandboxes, if it is this user's:
// moves this process into a group of its own below it, so that the controllers can be given on.
// Returns where sandboxes' cgroups are; kNoCgroups where nothing is delegated.
[[nodiscard]] std::string delegated_cgroups();

class Cgroup {
 public:
  struct Limits {
    std::uint64_t memory_most_bytes = 0;
    std::uint32_t pids_most = 0;
  };
  // As much of it as this host gives; the rest is in `not_enforced`. Errors: the kernel's, where it
  // should give more.
  [[nodiscard]] static Result<std::unique_ptr<Cgroup>> make(const std::string& place,
                                                            const std::string& name,
                                                            const Limits& limits);
  // Removes the directories; what still runs in them is killed first.
  ~Cgroup();
  // Kills what an owner that is gone has left under that name, and removes what is empty by now.
  // Returns whether nothing is left.
  [[nodiscard]] static bool clear_left(const std::string& place, const std::string& name);
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  // Moves this process out of whatever group it was started in, which a service manager may kill as
  // a whole, into one for wardens. Errors: kUnsupported (there is no cgroup2), the kernel's.
  [[nodiscard]] static Result<void> leave_for_wardens(const std::string& place);

  [[nodiscard]] Result<void> add(int pid);
  void kill_all() const;
  void thaw() const;
  [[nodiscard]] bool can_freeze() const { return freeze_.is_open(); }
  // Whether it bounds memory and processes and can freeze: what a sandbox is not made without, but
  // by best effort.
  [[nodiscard]] bool is_whole() const { return limits_memory_ && limits_pids_ && can_freeze(); }
  [[nodiscard]] bool limits_memory() const { return limits_memory_; }
  [[nodiscard]] bool limits_pids() const { return limits_pids_; }
  [[nodiscard]] int freeze_fd() const { return freeze_.get(); }
  [[nodiscard]] int kill_fd() const { return kill_.get(); }
  [[nodiscard]] bool freezer_v1() const { return freezer_v1_; }
  // In words, each with what holds in its place; nothing where all is enforced.
  [[nodiscard]] std::vector<std::string> not_enforced() const;

 private:
  Cgroup() = default;
  Result<void> make_v2(const std::string& parent, const std::string& name);
  bool limit(const std::string& v2_file, const std::string& v1_controller,
             const std::string& v1_file, const std::string& value);
  void make_v1_freezer(const std::string& name);

  std::string name_;
  std::string v2_;       // its directory, "" for none
  bool has_v1_ = false;  // whether v1's hierarchies may be used
  bool limits_memory_ = false;
  bool limits_pids_ = false;
  bool limits_swap_ = true;
  std::vector<std::string> directories_;
  net::Descriptor freeze_;
  net::Descriptor kill_;
  bool freezer_v1_ = false;
};

// Why a sandbox is not made without those limits, and what to do.
[[nodiscard]] std::string limits_refusal(const std::vector<std::string>& not_enforced);

}  // namespace gatehouse::host
