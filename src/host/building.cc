// SPDX-License-Identifier: Apache-2.0
#include "host/building.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "host/user_namespace.h"
#include "net/descriptor.h"

namespace gatehouse::host {
namespace {

// In the process that ends: says the first step that fails on `told`, or nothing.
class Builder {
 public:
  explicit Builder(int told) : told_(told) {}

  void must(Step step, bool done) const {
    if (!done) stop({step, errno});
  }
  [[noreturn]] void stop(const Obstacle& obstacle) const {
    [[maybe_unused]] const ssize_t written = ::write(told_, &obstacle, sizeof obstacle);
    _exit(1);
  }

  void build(bool in_user_namespace) const {
    if (in_user_namespace) {
      const UserMap self{{{0, geteuid(), 1}}, {{0, getegid(), 1}}};
      must(Step::kUserNamespace, unshare(CLONE_NEWUSER) == 0);
      must(Step::kMapping, bool(write_own_map(self)));
    }
    must(Step::kMounts, unshare(CLONE_NEWNS) == 0);
    must(Step::kMounts, mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    must(Step::kMounts, mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID, "size=4k") == 0);
    must(Step::kNetwork, unshare(CLONE_NEWNET) == 0);
    // Who maps a sandbox's users is outside of it: here nobody does.
    must(Step::kNested, unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC
                                | CLONE_NEWUTS | CLONE_NEWCGROUP)
                            == 0);
    const pid_t first = fork();  // the first of the new pid namespace
    must(Step::kNested, first >= 0);
    if (first == 0) {
      must(Step::kProc, mount("proc", "/tmp", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                              "subset=pid,hidepid=invisible")
                            == 0);
      _exit(0);
    }
    int status = 0;
    waitpid(first, &status, 0);
  }

 private:
  int told_;
};

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  while (line.ends_with('\0')) line.pop_back();
  return line;
}

bool is_proc_masked() {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    if (line.contains(" /proc/") && !line.contains(" /proc/sys/fs/binfmt_misc ")) return true;
  }
  return false;
}

struct Setting {
  std::string cause;
  std::string what;
};

Setting setting_for(const Obstacle& obstacle, const Signs& signs) {
  if (obstacle.step == Step::kProc && signs.proc_is_masked) {
    return {"parts of /proc are covered, so that no other one may be mounted",
            "docker, podman: --security-opt systempaths=unconfined; Kubernetes: "
            "securityContext.procMount: Unmasked, with hostUsers: false"};
  }
  if (signs.user_namespaces_most == "0" || obstacle.why == ENOSPC) {
    return {"there may be no user namespaces",
            "on the host, as root: sysctl -w user.max_user_namespaces=15000"};
  }
  if (signs.unprivileged_userns == "0") {
    return {"only root may make user namespaces",
            "on the host, as root: sysctl -w kernel.unprivileged_userns_clone=1"};
  }
  const bool is_own = obstacle.step == Step::kUserNamespace || obstacle.step == Step::kNested;
  if (is_own && (obstacle.why == EINVAL || (obstacle.why == ENOSYS && !signs.filtered))) {
    return {"this kernel has no user namespaces", "a kernel with CONFIG_USER_NS=y"};
  }
  if (signs.filtered && is_own) {
    return {"a seccomp filter denies namespaces",
            "docker, podman: --security-opt seccomp=/usr/share/gatehouse/seccomp.json; Kubernetes: "
            "securityContext.seccompProfile: {type: Localhost, localhostProfile: seccomp.json}"};
  }
  if (!signs.apparmor_profile.empty() && !signs.apparmor_profile.starts_with("unconfined")) {
    return {fmt::format("the AppArmor profile {} denies it", signs.apparmor_profile),
            "docker, podman: --security-opt apparmor=unconfined; Kubernetes: "
            "securityContext.appArmorProfile: {type: Unconfined}"};
  }
  if (signs.apparmor_restricts == "1") {
    return {"AppArmor takes the privileges in user namespaces away",
            "on the host, as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"};
  }
  if (signs.filtered) {
    return {"a seccomp filter denies what sandboxes are built with",
            "docker, podman: --security-opt seccomp=/usr/share/gatehouse/seccomp.json; Kubernetes: "
            "securityContext.seccompProfile: {type: Localhost, localhostProfile: seccomp.json}"};
  }
  return {"the kernel denies it", "see docs/modes.md for what a host must allow"};
}

constexpr std::string_view name_of(Step step) {
  switch (step) {
    case Step::kUserNamespace:
      return "a user namespace";
    case Step::kMapping:
      return "the mapping of a user namespace";
    case Step::kMounts:
      return "mounts in a namespace of their own";
    case Step::kNetwork:
      return "a network namespace";
    case Step::kNested:
      return "the sandbox's namespaces";
    case Step::kProc:
      return "a /proc of the sandbox's own";
  }
  return "?";
}

}  // namespace

std::optional<Obstacle> try_building(bool in_user_namespace) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return Obstacle{Step::kUserNamespace, errno};
  const net::Descriptor read_end(ends[0]);
  net::Descriptor write_end(ends[1]);
  const pid_t child = fork();
  if (child < 0) return Obstacle{Step::kUserNamespace, errno};
  if (child == 0) {
    Builder(write_end.get()).build(in_user_namespace);
    _exit(0);
  }
  write_end.reset();
  Obstacle found;
  const ssize_t got = ::read(read_end.get(), &found, sizeof found);
  int status = 0;
  waitpid(child, &status, 0);
  if (got == ssize_t{sizeof found}) return found;
  // A filter that kills says nothing.
  if (!WIFEXITED(status)) return Obstacle{Step::kUserNamespace, EPERM};
  return std::nullopt;
}

Signs read_signs() {
  Signs signs;
  signs.filtered = prctl(PR_GET_SECCOMP) == SECCOMP_MODE_FILTER;
  signs.user_namespaces_most = first_line("/proc/sys/user/max_user_namespaces");
  signs.unprivileged_userns = first_line("/proc/sys/kernel/unprivileged_userns_clone");
  signs.apparmor_restricts = first_line("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
  signs.apparmor_profile = first_line("/proc/self/attr/apparmor/current");
  signs.proc_is_masked = is_proc_masked();
  return signs;
}

std::string remedy_for(const Obstacle& obstacle, const Signs& signs) {
  const Setting setting = setting_for(obstacle, signs);
  return fmt::format("no sandbox can be built here, so no run starts: {} ({}: {}). Add: {}",
                     setting.cause, name_of(obstacle.step), std::strerror(obstacle.why),
                     setting.what);
}

}  // namespace gatehouse::host
