// SPDX-License-Identifier: Apache-2.0
#include "sandbox/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

namespace gatehouse::sandbox {
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

}  // namespace

Result<std::unique_ptr<Cgroup>> Cgroup::make(const std::string& name, const Limits& limits) {
  std::unique_ptr<Cgroup> group(new Cgroup());
  const std::string root = v2_root();
  std::string v2;
  if (!root.empty()) {
    const std::string parent = root + "/gatehouse";
    ::mkdir(parent.c_str(), 0755);
    for (const char* controller : {"memory", "pids"}) {
      if (!v2_has(root, controller)) continue;
      write_file(root + "/cgroup.subtree_control", std::string("+") + controller);
      write_file(parent + "/cgroup.subtree_control", std::string("+") + controller);
    }
    v2 = parent + "/" + name;
    if (::mkdir(v2.c_str(), 0755) != 0 && errno != EEXIST) {
      return failure_from_errno(errno, "making the cgroup " + v2);
    }
    group->directories_.push_back(v2);
    group->freeze_ = net::Descriptor(::open((v2 + "/cgroup.freeze").c_str(), O_WRONLY | O_CLOEXEC));
    group->kill_ = net::Descriptor(::open((v2 + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC));
  }
  struct Limit {
    const char* controller;
    const char* v2_file;
    const char* v1_file;
    std::string value;
  };
  for (const Limit& limit :
       {Limit{"memory", "memory.max", "memory.limit_in_bytes",
              std::to_string(limits.memory_most_bytes)},
        Limit{"pids", "pids.max", "pids.max", std::to_string(limits.pids_most)}}) {
    if (!v2.empty() && write_file(v2 + "/" + limit.v2_file, limit.value)) continue;
    const std::string parent = std::string(kV1) + "/" + limit.controller + "/gatehouse";
    const std::string v1 = parent + "/" + name;
    if (is_directory(std::string(kV1) + "/" + limit.controller)) {
      ::mkdir(parent.c_str(), 0755);
      if (::mkdir(v1.c_str(), 0755) == 0 || errno == EEXIST) {
        group->directories_.push_back(v1);
        if (write_file(v1 + "/" + limit.v1_file, limit.value)) continue;
      }
    }
    group->not_enforced_.push_back(std::string("the limit on ") + limit.controller
                                   + ": no cgroup controller is there for it");
  }
  // No way around the limit through swap, where swap is counted at all.
  for (const std::string& directory : group->directories_) {
    write_file(directory + "/memory.swap.max", "0");
    write_file(directory + "/memory.memsw.limit_in_bytes",
               std::to_string(limits.memory_most_bytes));
  }
  if (!group->freeze_.is_open()) {
    const std::string parent = std::string(kV1) + "/freezer/gatehouse";
    const std::string v1 = parent + "/" + name;
    ::mkdir(parent.c_str(), 0755);
    if (::mkdir(v1.c_str(), 0755) == 0) {
      group->directories_.push_back(v1);
      group->freeze_ =
          net::Descriptor(::open((v1 + "/freezer.state").c_str(), O_WRONLY | O_CLOEXEC));
      group->freezer_v1_ = true;
    }
  }
  if (!group->freeze_.is_open()) {
    return failure(Error::kUnsupported,
                   "no cgroup can freeze a sandbox here, so that a kill could not stop "
                   "it: mount cgroup2, or cgroup v1's freezer");
  }
  return group;
}

void Cgroup::thaw() const {
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

bool Cgroup::clear_left(const std::string& name) {
  const std::string inside = "/gatehouse/" + name;
  std::vector<std::string> directories;
  if (const std::string root = v2_root(); !root.empty()) directories.push_back(root + inside);
  for (const char* controller : {"memory", "pids", "freezer"}) {
    directories.push_back(std::string(kV1) + "/" + controller + inside);
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

Result<void> Cgroup::leave_for_wardens() {
  const std::string root = v2_root();
  if (root.empty()) return failure(Error::kUnsupported, "there is no cgroup2");
  const std::string parent = root + "/gatehouse";
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

}  // namespace gatehouse::sandbox
