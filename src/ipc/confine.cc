// SPDX-License-Identifier: Apache-2.0
#include "ipc/confine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <span>

#include "base/sanitizer.h"
#include "net/descriptor.h"

namespace gatehouse::ipc {
namespace {

Failure missing(std::string_view layer, std::string_view remedy) {
  return failure(Error::kUnsupported,
                 fmt::format("{} is not in force: {}. {}", layer, std::strerror(errno), remedy));
}

Result<void> close_others(std::vector<int> keep) {
  keep.insert(keep.end(), {0, 1, 2});
  std::sort(keep.begin(), keep.end());
  unsigned from = 0;
  for (const int fd : keep) {
    const auto kept = static_cast<unsigned>(fd);
    if (kept > from && close_range(from, kept - 1, 0) != 0)
      return missing("closing descriptors", "");
    from = std::max(from, kept + 1);
  }
  if (close_range(from, ~0U, 0) != 0) return missing("closing descriptors", "");
  return {};
}

Result<void> hide() {
  const rlimit none{0, 0};
  if (prctl(PR_SET_DUMPABLE, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0) {
    return missing("not being dumpable", "");
  }
  return {};
}

Result<void> die_with_parent() {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return missing("ending with the supervisor", "");
  return {};
}

// All but those.
Result<void> drop_capabilities(std::span<const cap_value_t> kept) {
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    if (std::find(kept.begin(), kept.end(), capability) != kept.end()) continue;
    if (prctl(PR_CAPBSET_DROP, capability) != 0 && errno != EINVAL && errno != EPERM) {
      return missing("a capability bounding set", "");
    }
  }
  const std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)> set(cap_init(), cap_free);
  const int count = static_cast<int>(kept.size());
  const auto keep = [&](cap_flag_t flag) {  // cap_set_flag refuses an empty list
    return count == 0 || cap_set_flag(set.get(), flag, count, kept.data(), CAP_SET) == 0;
  };
  if (!set || !keep(CAP_PERMITTED) || !keep(CAP_EFFECTIVE) || cap_set_proc(set.get()) != 0) {
    return missing("having few capabilities or none", "");
  }
  return {};
}

}  // namespace

Result<void> drop_root(std::uint32_t uid) {
  if (geteuid() != 0 || uid == 0) return {};
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    prctl(PR_CAPBSET_DROP, capability);  // `confine` makes sure: none is left to be had
  }
  if (setgroups(0, nullptr) != 0 || setresgid(uid, uid, uid) != 0
      || setresuid(uid, uid, uid) != 0) {
    return missing("the role's own uid", "Start as root, or without root in single-user mode.");
  }
  if (setuid(0) == 0) return failure(Error::kInternal, "root came back after it was given up");
  return {};
}

namespace {

constexpr std::uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t kRead = kReadFile | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWriteFile = LANDLOCK_ACCESS_FS_WRITE_FILE;
constexpr std::uint64_t kWrite = kRead | kWriteFile | LANDLOCK_ACCESS_FS_MAKE_REG
                                 | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK
                                 | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR;
constexpr std::uint64_t kAbi1 = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
constexpr std::uint64_t kRefer = 1ULL << 13;     // ABI 2
constexpr std::uint64_t kTruncate = 1ULL << 14;  // ABI 3
constexpr std::uint64_t kIoctlDev = 1ULL << 15;  // ABI 5

Result<void> add_rule(int ruleset, const std::string& path, std::uint64_t access) {
  const net::Descriptor at(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!at.is_open()) {
    if (errno == ENOENT) return {};  // what is not there needs no rule
    return missing("Landlock", "It cannot open " + path + ".");
  }
  struct stat about{};
  if (fstat(at.get(), &about) == 0 && !S_ISDIR(about.st_mode)) {
    access &= kReadFile | kWriteFile | kTruncate;
  }
  landlock_path_beneath_attr rule{access, at.get()};
  if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
    return missing("Landlock", "It refuses a rule for " + path + ".");
  }
  return {};
}

Result<void> landlock(const Confinement& plan) {
  const long abi =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 1)
    return missing("Landlock", "Use a kernel with CONFIG_SECURITY_LANDLOCK and lsm=landlock.");
  std::uint64_t handled = kAbi1;
  if (abi >= 2) handled |= kRefer;
  if (abi >= 3) handled |= kTruncate;
  if (abi >= 5) handled |= kIoctlDev;
  landlock_ruleset_attr attributes{handled};
  const net::Descriptor ruleset(static_cast<int>(
      syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes.handled_access_fs, 0)));
  if (!ruleset.is_open()) return missing("Landlock", "");
  for (const std::string& path : plan.writable) {
    TRY(add_rule(ruleset.get(), path, (kWrite | kTruncate | kRefer) & handled));
  }
  for (const std::string& path : plan.readable) TRY(add_rule(ruleset.get(), path, kRead));
  if constexpr (kSanitized) TRY(add_rule(ruleset.get(), "/proc/self", kRead));
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) return missing("Landlock", "");
  return {};
}

// What every role needs: memory, time, signals, descriptors that it has, files that Landlock
// admits. Neither a thread nor a process is ever made: what is a role's is touched by one thread
// alone.
constexpr std::array kCommonCalls = {
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "preadv",
    "pwritev",
    "pwritev2",
    "close",
    "close_range",
    "fstat",
    "newfstatat",
    "statx",
    "lseek",
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "mlock",
    "mlock2",
    "munlock",
    "brk",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "fcntl",
    "dup",
    "dup2",
    "dup3",
    "pipe2",
    "poll",
    "ppoll",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "eventfd2",
    "recvmsg",
    "sendmsg",
    "recvfrom",
    "sendto",
    "shutdown",
    "getsockopt",
    "setsockopt",
    "getsockname",
    "getpeername",
    "socketpair",
    "futex",
    "sched_yield",
    "sched_getaffinity",
    "nanosleep",
    "clock_nanosleep",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "getpid",
    "gettid",
    "getppid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getrandom",
    "exit",
    "exit_group",
    "restart_syscall",
    "set_robust_list",
    "rseq",
    "prctl",
    "arch_prctl",
    "getrlimit",
    "getrusage",
    "uname",
    "sysinfo",
    "getcwd",
    "openat",
    "openat2",
    "open",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents64",
    "memfd_create",
    "ftruncate",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "fallocate",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "flock",
    "fchmod",
    "stat",
    "lstat",
    "umask",
    "membarrier",
    "get_robust_list",
    "set_tid_address",
};
// Of ioctl(2), what event loops and standard streams ask: none that types into a terminal
// (TIOCSTI) or changes one.
constexpr std::array<std::uint32_t, 6> kCommonRequests = {FIONBIO,  FIONREAD, FIOCLEX,
                                                          FIONCLEX, TCGETS,   TIOCGWINSZ};
// A sanitizer's runtime has a thread of its own, or stops the process from one to look for leaks.
constexpr std::array kSanitizersCalls = {"clone", "clone3", "ptrace", "wait4"};
constexpr std::array kOutboundCalls = {"connect", "bind"};
constexpr std::array kAcceptCalls = {"accept", "accept4", "listen"};

Result<void> allow(scmp_filter_ctx filter, std::span<const char* const> names) {
  for (const char* name : names) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) continue;  // not on this architecture
    if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) != 0) {
      return missing("seccomp", std::string("No rule for ") + name + ".");
    }
  }
  return {};
}

Result<void> seccomp(const Confinement& plan) {
  const std::unique_ptr<void, void (*)(void*)> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)),
                                                      seccomp_release);
  if (!filter) return missing("seccomp", "Use a kernel with CONFIG_SECCOMP_FILTER.");
  TRY(allow(filter.get(), kCommonCalls));
  // Of itself, and of no other process: roles may all have one uid.
  const auto self = static_cast<std::uint32_t>(getpid());
  if (seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                       SCMP_A0_32(SCMP_CMP_EQ, self))
          != 0
      || seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
                          SCMP_A0_32(SCMP_CMP_EQ, 0))
             != 0) {
    return missing("seccomp", "No rule for signals and limits of its own.");
  }
  for (const std::uint32_t request : kCommonRequests) {
    if (seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                         SCMP_A1_32(SCMP_CMP_EQ, request))
        != 0) {
      return missing("seccomp", "No rule for ioctl.");
    }
  }
  if constexpr (kSanitized) TRY(allow(filter.get(), kSanitizersCalls));
  if (plan.network == Network::kOutbound || plan.network == Network::kOutboundAndAccept) {
    TRY(allow(filter.get(), kOutboundCalls));
    for (const int family : {AF_INET, AF_INET6}) {
      if (seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                           SCMP_A0_32(SCMP_CMP_EQ, static_cast<std::uint32_t>(family)))
          != 0) {
        return missing("seccomp", "No rule for socket.");
      }
    }
  }
  if (plan.network == Network::kAccept || plan.network == Network::kOutboundAndAccept) {
    TRY(allow(filter.get(), kAcceptCalls));
  }
  if (seccomp_load(filter.get()) != 0) return missing("seccomp", "");
  return {};
}

// What a sandbox is built with: namespaces, mounts and their owners, ids, its own network, the end
// of a process of another uid.
constexpr std::array<cap_value_t, 13> kBuilderCapabilities = {
    CAP_SYS_ADMIN, CAP_NET_ADMIN,    CAP_SETUID,     CAP_SETGID,
    CAP_SETPCAP,   CAP_CHOWN,        CAP_FOWNER,     CAP_FSETID,
    CAP_KILL,      CAP_DAC_OVERRIDE, CAP_SYS_CHROOT, CAP_NET_BIND_SERVICE,
    CAP_SETFCAP,  // last: for RootOf::kUser alone
};

// What neither a builder nor anything below it has a use for: the kernel's own code and clock,
// other processes' memory, ways around filters and permissions.
constexpr std::array kForbiddenToBuilders = {
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "bpf",
    "perf_event_open",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "reboot",
    "swapon",
    "swapoff",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "syslog",
    "acct",
    "quotactl",
    "iopl",
    "ioperm",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "add_key",
    "request_key",
    "open_by_handle_at",
    "name_to_handle_at",
    "mknod",
    "mknodat",
    "personality",
    "pidfd_getfd",
    "kcmp",
    "vhangup",
};

Result<void> forbid(std::span<const char* const> names) {
  const std::unique_ptr<void, void (*)(void*)> filter(seccomp_init(SCMP_ACT_ALLOW),
                                                      seccomp_release);
  if (!filter) return missing("seccomp", "Use a kernel with CONFIG_SECCOMP_FILTER.");
  for (const char* name : names) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) continue;  // not on this architecture
    if (kSanitized && number == SCMP_SYS(ptrace)) continue;
    if (seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), number, 0) != 0) {
      return missing("seccomp", std::string("No rule against ") + name + ".");
    }
  }
  // A terminal that it was started from is not typed into.
  for (const std::uint32_t request : {std::uint32_t{TIOCSTI}, std::uint32_t{TIOCLINUX}}) {
    if (seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                         SCMP_A1_32(SCMP_CMP_EQ, request))
        != 0) {
      return missing("seccomp", "No rule against typing into terminals.");
    }
  }
  // Sockets that no network namespace contains, or that nothing here speaks.
  for (std::uint32_t family = 0; family < 64; ++family) {
    if (family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK) {
      continue;
    }
    if (seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                         SCMP_A0_32(SCMP_CMP_EQ, family))
        != 0) {
      return missing("seccomp", "No rule against a socket family.");
    }
  }
  if (seccomp_load(filter.get()) != 0) return missing("seccomp", "");
  return {};
}

}  // namespace

Result<void> confine(const Confinement& plan) {
  TRY(close_others(plan.keep));
  TRY(drop_root(plan.uid));
  TRY(hide());  // after the uid: a change of uid resets it
  TRY(die_with_parent());
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return missing("no_new_privs", "");
  TRY(drop_capabilities({}));
  if (!plan.no_landlock) TRY(landlock(plan));
  return seccomp(plan);
}

Result<void> confine_builder(const std::vector<int>& keep_descriptors, RootOf root) {
  TRY(close_others(keep_descriptors));
  TRY(hide());
  TRY(die_with_parent());
  // No network of the host's: sandboxes get one each, made from here.
  if (unshare(CLONE_NEWNET) != 0) return missing("a network namespace of its own", "");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return missing("no_new_privs", "");
  const std::span<const cap_value_t> most = kBuilderCapabilities;
  TRY(drop_capabilities(root == RootOf::kUser ? most : most.first(most.size() - 1)));
  return forbid(kForbiddenToBuilders);
}

}  // namespace gatehouse::ipc
