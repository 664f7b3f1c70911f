// SPDX-License-Identifier: Apache-2.0
#include "host/cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

namespace gatehouse::host {
namespace {

constexpr const char* kV1 = "/sys/fs/cgroup";
constexpr int kRemoveTries = 200;  // 10 ms apart: exits of many processes take a moment

bool write_file(const std::string& path, const std::string& text) {
  const net::Descriptor fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return fd.is_open()
         && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool is_directory(const std::string& path) {
  struct stat about{};
  return ::stat(path.c_str(), &about) == 0 && S_ISDIR(about.st_mode);
}

// Where cgroup2 is mounted: at the usual place, or beside v1 controllers.
std::string v2_root() {
  for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    if (::access((std::string(root) + "/cgroup.controllers").c_str(), F_OK) == 0) return root;
  }
  return "";
}

bool v2_has(const std::string& root, const std::string& controller) {
  std::ifstream in(root + "/cgroup.controllers");
  std::string word;
  while (in >> word) {
    if (word == controller) return true;
  }
  return false;
}

// The directory below which sandboxes' and wardens' groups of cgroup2 are; "" for none.
std::string v2_parent(const std::string& place) {
  if (place == kNoCgroups) return "";
  const std::string above = place == kRootCgroups ? v2_root() : place;
  return above.empty() ? "" : above + "/gatehouse";
}

void give_controllers(const std::string& from) {
  for (const char* controller : {"memory", "pids"}) {
    if (v2_has(from, controller)) {
      write_file(from + "/cgroup.subtree_control", std::string("+") + controller);
    }
  }
}

bool has_swap() {
  struct sysinfo about{};
  return sysinfo(&about) == 0 && about.totalswap > 0;
}

}  // namespace

std::string delegated_cgroups() {
  const std::string root = v2_root();
  std::ifstream groups("/proc/self/cgroup");
  std::string own;
  for (std::string line; std::getline(groups, line);) {
    if (line.starts_with("0::")) own = root + line.substr(3);
  }
  if (root.empty() || own.empty()) return kNoCgroups;
  while (own.ends_with('/')) own.pop_back();
  if (access(own.c_str(), W_OK) != 0 || access((own + "/cgroup.procs").c_str(), W_OK) != 0) {
    return kNoCgroups;
  }
  // Of a group that has processes, the kernel gives no controllers to those below.
  const std::string parent = own + "/gatehouse";
  const std::string house = parent + "/house";
  mkdir(parent.c_str(), 0755);
  mkdir(house.c_str(), 0755);
  if (!write_file(house + "/cgroup.procs", "0")) return kNoCgroups;
  give_controllers(own);
  return own;
}

Result<void> Cgroup::make_v2(const std::string& parent, const std::string& name) {
  mkdir(parent.c_str(), 0755);
  give_controllers(parent.substr(0, parent.rfind('/')));
  give_controllers(parent);
  v2_ = parent + "/" + name;
  if (mkdir(v2_.c_str(), 0755) != 0 && errno != EEXIST) {
    return failure_from_errno(errno, "making the cgroup " + v2_);
  }
  directories_.push_back(v2_);
  freeze_ = net::Descriptor(::open((v2_ + "/cgroup.freeze").c_str(), O_WRONLY | O_CLOEXEC));
  kill_ = net::Descriptor(::open((v2_ + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC));
  return {};
}

bool Cgroup::limit(const std::string& v2_file, const std::string& v1_controller,
                   const std::string& v1_file, const std::string& value) {
  if (!v2_.empty() && write_file(v2_ + "/" + v2_file, value)) return true;
  if (!has_v1_ || !is_directory(std::string(kV1) + "/" + v1_controller)) return false;
  const std::string parent = fmt::format("{}/{}/gatehouse", kV1, v1_controller);
  const std::string v1 = parent + "/" + name_;
  mkdir(parent.c_str(), 0755);
  if (mkdir(v1.c_str(), 0755) != 0 && errno != EEXIST) return false;
  directories_.push_back(v1);
  return write_file(v1 + "/" + v1_file, value);
}

void Cgroup::make_v1_freezer(const std::string& name) {
  const std::string parent = std::string(kV1) + "/freezer/gatehouse";
  const std::string v1 = parent + "/" + name;
  mkdir(parent.c_str(), 0755);
  if (mkdir(v1.c_str(), 0755) != 0) return;
  directories_.push_back(v1);
  freeze_ = net::Descriptor(::open((v1 + "/freezer.state").c_str(), O_WRONLY | O_CLOEXEC));
  freezer_v1_ = true;
}

Result<std::unique_ptr<Cgroup>> Cgroup::make(const std::string& place, const std::string& name,
                                             const Limits& limits) {
  std::unique_ptr<Cgroup> group(new Cgroup());
  group->name_ = name;
  group->has_v1_ = place == kRootCgroups;
  if (const std::string parent = v2_parent(place); !parent.empty()) {
    TRY(group->make_v2(parent, name));
  }
  const std::string memory = std::to_string(limits.memory_most_bytes);
  group->limits_memory_ = group->limit("memory.max", "memory", "memory.limit_in_bytes", memory);
  group->limits_pids_ =
      group->limit("pids.max", "pids", "pids.max", std::to_string(limits.pids_most));
  // No way around the limit through swap, where swap is counted at all.
  bool swap = false;
  for (const std::string& directory : group->directories_) {
    swap |= write_file(directory + "/memory.swap.max", "0");
    swap |= write_file(directory + "/memory.memsw.limit_in_bytes", memory);
  }
  group->limits_swap_ = swap || !group->limits_memory_ || !has_swap();
  if (!group->freeze_.is_open() && group->has_v1_) group->make_v1_freezer(name);
  return group;
}

std::vector<std::string> Cgroup::not_enforced() const {
  std::vector<std::string> list;
  if (!limits_memory_) {
    list.emplace_back(
        "the limit on memory: no cgroup controller is there for it; each process alone is bounded "
        "(RLIMIT_DATA), all together are not");
  }
  if (!limits_swap_) {
    list.emplace_back("the limit on memory where it is swapped out: swap is not counted here");
  }
  if (!limits_pids_) {
    list.emplace_back(
        "the limit on processes: no cgroup controller is there for it; RLIMIT_NPROC of the "
        "sandbox's user namespace is in its place");
  }
  if (!can_freeze()) {
    list.emplace_back(
        "freezing: no cgroup can freeze here, so a kill ends the sandbox at once, for good");
  }
  return list;
}

std::string limits_refusal(const std::vector<std::string>& not_enforced) {
  std::vector<std::string> names;
  for (const std::string& line : not_enforced) names.push_back(line.substr(0, line.find(':')));
  return fmt::format(
      "this host does not enforce: {}; so no run starts. Give the house a cgroup of its own: as a "
      "service with "
      "Delegate=yes (and `loginctl enable-linger` for a user's), or by `systemd-run --user --scope "
      "-p Delegate=yes gatehouse up`; or let runs go without, by `gatehouse up "
      "--limits=best-effort`",
      fmt::join(names, ", "));
}

void Cgroup::thaw() const {
  if (!can_freeze()) return;
  const std::string_view word = freezer_v1_ ? "THAWED" : "0";
  [[maybe_unused]] const ssize_t written = ::pwrite(freeze_.get(), word.data(), word.size(), 0);
}

Cgroup::~Cgroup() {
  kill_all();
  for (const std::string& directory : directories_) {
    for (int tries = 0; tries < kRemoveTries; ++tries) {
      if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) break;
      ::usleep(10'000);
    }
  }
}

bool Cgroup::clear_left(const std::string& place, const std::string& name) {
  std::vector<std::string> directories;
  if (const std::string parent = v2_parent(place); !parent.empty()) {
    directories.push_back(parent + "/" + name);
  }
  if (place == kRootCgroups) {
    for (const char* controller : {"memory", "pids", "freezer"}) {
      directories.push_back(fmt::format("{}/{}/gatehouse/{}", kV1, controller, name));
    }
  }
  bool is_clear = true;
  for (const std::string& directory : directories) {
    if (::rmdir(directory.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) continue;
    is_clear = false;
    write_file(directory + "/cgroup.kill", "1");
    write_file(directory + "/freezer.state", "THAWED");
  }
  return is_clear;
}

Result<void> Cgroup::leave_for_wardens(const std::string& place) {
  const std::string parent = v2_parent(place);
  if (parent.empty()) return failure(Error::kUnsupported, "there is no cgroup2");
  const std::string group = parent + "/wardens";
  ::mkdir(parent.c_str(), 0755);
  ::mkdir(group.c_str(), 0755);
  if (!write_file(group + "/cgroup.procs", "0")) {
    return failure_from_errno(errno, "going into " + group);
  }
  return {};
}

Result<void> Cgroup::add(int pid) {
  for (const std::string& directory : directories_) {
    if (!write_file(directory + "/cgroup.procs", std::to_string(pid))) {
      return failure_from_errno(errno, "putting the sandbox into " + directory);
    }
  }
  return {};
}

void Cgroup::kill_all() const {
  if (kill_.is_open()) [[maybe_unused]]
    const ssize_t written = ::write(kill_.get(), "1", 1);
}

}  // namespace gatehouse::host
