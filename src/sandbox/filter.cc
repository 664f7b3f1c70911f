// SPDX-License-Identifier: Apache-2.0
#include "sandbox/filter.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "net/descriptor.h"

namespace gatehouse::sandbox {
namespace {

Failure missing(std::string_view layer, std::string_view remedy) {
  return failure(Error::kUnsupported,
                 fmt::format("{} is not in force: {}. {}", layer, std::strerror(errno), remedy));
}

// What ordinary programs (shells, coreutils, git, Python, Node) use. What is not here answers
// EPERM: io_uring, userfaultfd, keyrings, bpf, perf, ptrace, other processes' memory, namespaces,
// mounts, modules, clocks, and all that is newer than this list.
constexpr std::array kAllowed = {
    "accept",
    "accept4",
    "access",
    "alarm",
    "arch_prctl",
    "bind",
    "brk",
    "capget",
    "capset",
    "chdir",
    "chmod",
    "chown",
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "close",
    "close_range",
    "connect",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd",
    "eventfd2",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "fcntl",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fork",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "futex",
    "futex_waitv",
    "get_robust_list",
    "getcpu",
    "getcwd",
    "getdents",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getitimer",
    "getpeername",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getrandom",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getrusage",
    "getsid",
    "getsockname",
    "getsockopt",
    "gettid",
    "gettimeofday",
    "getuid",
    "getxattr",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "inotify_rm_watch",
    "kill",
    "lchown",
    "lgetxattr",
    "link",
    "linkat",
    "listen",
    "listxattr",
    "llistxattr",
    "lseek",
    "lstat",
    "madvise",
    "membarrier",
    "memfd_create",
    "mincore",
    "mkdir",
    "mkdirat",
    "mlock",
    "mlock2",
    "mmap",
    "mprotect",
    "mremap",
    "msync",
    "munlock",
    "munmap",
    "nanosleep",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pause",
    "pidfd_open",
    "pidfd_send_signal",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "prctl",
    "pread64",
    "preadv",
    "preadv2",
    "prlimit64",
    "pselect6",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "rename",
    "renameat",
    "renameat2",
    "restart_syscall",
    "rmdir",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_tgsigqueueinfo",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_setaffinity",
    "sched_yield",
    "select",
    "sendfile",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "set_robust_list",
    "set_tid_address",
    "setitimer",
    "setpgid",
    "setrlimit",
    "setsid",
    "setsockopt",
    "shutdown",
    "sigaltstack",
    "signalfd",
    "signalfd4",
    "splice",
    "stat",
    "statfs",
    "statx",
    "symlink",
    "symlinkat",
    "sync",
    "sync_file_range",
    "syncfs",
    "sysinfo",
    "tee",
    "tgkill",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_settime",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
    "times",
    "tkill",
    "truncate",
    "umask",
    "uname",
    "unlink",
    "unlinkat",
    "utime",
    "utimensat",
    "utimes",
    "vfork",
    "wait4",
    "waitid",
    "write",
    "writev",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "setpriority",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    "seccomp",
    "semget",
    "semop",
    "semctl",
    "shmget",
    "shmat",
    "shmdt",
    "shmctl",
    "mq_open",
    "mq_unlink",
    "fsetxattr",
    "setxattr",
    "lsetxattr",
};

constexpr std::uint64_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER
                                          | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP
                                          | 0x80 /* NEWTIME */;

class Filter {
 public:
  explicit Filter(std::uint32_t otherwise) : context_(seccomp_init(otherwise), seccomp_release) {}
  [[nodiscard]] bool is_made() const { return context_ != nullptr; }
  void allow(const char* name, std::initializer_list<scmp_arg_cmp> arguments = {}) {
    add(SCMP_ACT_ALLOW, name, arguments);
  }
  void refuse(std::uint32_t error_number, const char* name,
              std::initializer_list<scmp_arg_cmp> arguments = {}) {
    add(SCMP_ACT_ERRNO(error_number), name, arguments);
  }
  [[nodiscard]] bool is_whole() const { return !failed_; }
  [[nodiscard]] int write_to(int fd) const { return seccomp_export_bpf(context_.get(), fd); }

 private:
  void add(std::uint32_t action, const char* name, std::initializer_list<scmp_arg_cmp> arguments) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) return;  // newer than this libseccomp: stays refused
    if (seccomp_rule_add_array(context_.get(), action, number,
                               static_cast<unsigned>(arguments.size()), arguments.begin())
        != 0) {
      failed_ = true;
    }
  }
  std::unique_ptr<void, void (*)(void*)> context_;
  bool failed_ = false;
};

scmp_arg_cmp equals(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_EQ, value, 0};
}
// Whether the bits of `mask` are exactly `value`, over all 64 bits.
scmp_arg_cmp masked(unsigned argument, std::uint64_t mask, std::uint64_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

void allow_sockets(Filter& filter) {
  constexpr std::uint64_t kTypeMask = ~std::uint64_t{SOCK_NONBLOCK | SOCK_CLOEXEC};
  for (const std::uint64_t type :
       std::initializer_list<std::uint64_t>{SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
    filter.allow("socket", {equals(0, AF_UNIX), masked(1, kTypeMask, type)});
  }
  filter.allow("socketpair", {equals(0, AF_UNIX)});
  for (const unsigned family : std::initializer_list<unsigned>{AF_INET, AF_INET6}) {
    // Protocol 0 or the one of the type: no SCTP, MPTCP, UDP-Lite, ICMP, raw.
    for (const std::uint64_t protocol : {std::uint64_t{0}, std::uint64_t{6}}) {
      filter.allow("socket",
                   {equals(0, family), masked(1, kTypeMask, SOCK_STREAM), equals(2, protocol)});
    }
    for (const std::uint64_t protocol : {std::uint64_t{0}, std::uint64_t{17}}) {
      filter.allow("socket",
                   {equals(0, family), masked(1, kTypeMask, SOCK_DGRAM), equals(2, protocol)});
    }
  }
  // getaddrinfo and Node list the interfaces by rtnetlink; changing them needs a network namespace
  // of one's own.
  for (const std::uint64_t type : std::initializer_list<std::uint64_t>{SOCK_RAW, SOCK_DGRAM}) {
    filter.allow("socket", {equals(0, AF_NETLINK), masked(1, kTypeMask, type), equals(2, 0)});
  }
}

constexpr std::uint64_t kReadFile =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

constexpr std::uint64_t kTruncate = 1ULL << 14;  // LANDLOCK_ACCESS_FS_TRUNCATE, of ABI 3

struct Ruleset {
  std::uint64_t handled_access_fs = 0;
  std::uint64_t handled_access_net = 0;
  std::uint64_t scoped = 0;
};

Result<void> add_rule(int ruleset, const char* path, std::uint64_t access) {
  const net::Descriptor at(open(path, O_PATH | O_CLOEXEC));
  if (!at.is_open()) return missing("Landlock", fmt::format("It cannot open {}.", path));
  const landlock_path_beneath_attr rule{access, at.get()};
  if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
    return missing("Landlock", fmt::format("It refuses a rule for {}.", path));
  }
  return {};
}

Result<std::string> compiled(const Filter& filter) {
  if (!filter.is_whole()) return missing("seccomp", "A rule was refused.");
  const net::Descriptor memory(memfd_create("filter", MFD_CLOEXEC));
  if (filter.write_to(memory.get()) != 0) {
    return missing("seccomp", "The filter does not compile.");
  }
  const off_t size = lseek(memory.get(), 0, SEEK_END);
  std::string bytes(static_cast<std::size_t>(size), '\0');
  if (pread(memory.get(), bytes.data(), bytes.size(), 0) != size) return missing("seccomp", "");
  return bytes;
}

}  // namespace

Result<std::vector<std::string>> compile_filters() {
  Filter filter(SCMP_ACT_ERRNO(EPERM));
  // A second lock on what must never be, whatever becomes of the list above. It also holds what an
  // allow-list cannot say: an argument's one forbidden value.
  Filter never(SCMP_ACT_ALLOW);
  if (!filter.is_made() || !never.is_made()) {
    return missing("seccomp", "Use a kernel with CONFIG_SECCOMP_FILTER.");
  }
  // Words put into another's mouth at a terminal. The kernel looks at 32 bits of the request.
  for (const std::uint64_t request : {std::uint64_t{TIOCSTI}, std::uint64_t{TIOCLINUX}}) {
    never.refuse(EPERM, "ioctl", {masked(1, 0xffffffff, request)});
  }
  for (const char* name :
       {"ptrace",     "bpf",         "mount",          "umount2",           "pivot_root",
        "setns",      "unshare",     "io_uring_setup", "userfaultfd",       "perf_event_open",
        "keyctl",     "add_key",     "request_key",    "process_vm_readv",  "process_vm_writev",
        "kexec_load", "init_module", "finit_module",   "open_by_handle_at", "move_mount",
        "open_tree",  "fsopen",      "pidfd_getfd",    "memfd_secret"}) {
    never.refuse(EPERM, name);
  }
  for (const char* name : kAllowed) filter.allow(name);
  allow_sockets(filter);
  filter.allow("clone", {masked(0, kNamespaceFlags, 0)});
  filter.refuse(ENOSYS, "clone3");  // its flags lie in memory; the C library falls back to clone
  for (const std::uint64_t persona : {std::uint64_t{0}, std::uint64_t{0xffffffff}}) {
    filter.allow("personality", {equals(0, persona)});
  }
  filter.allow("ioctl");
  filter.allow("mknod", {masked(1, S_IFMT, S_IFIFO)});
  filter.allow("mknod", {masked(1, S_IFMT, S_IFREG)});
  filter.allow("mknodat", {masked(2, S_IFMT, S_IFIFO)});
  filter.allow("mknodat", {masked(2, S_IFMT, S_IFREG)});
  return std::vector<std::string>{TRY(compiled(never)), TRY(compiled(filter))};
}

Result<void> load_filters(const std::vector<std::string>& filters) {
  for (const std::string& bytes : filters) {
    sock_fprog program{};
    program.len = static_cast<unsigned short>(bytes.size() / sizeof(sock_filter));
    program.filter = reinterpret_cast<sock_filter*>(const_cast<char*>(bytes.data()));
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
      return missing("seccomp", "");
    }
  }
  return {};
}

Result<void> restrict_files(const std::vector<std::string>& writable) {
  const long abi =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 1)
    return missing("Landlock", "Use a kernel with CONFIG_SECURITY_LANDLOCK and lsm=landlock.");
  Ruleset attributes;
  attributes.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
  if (abi >= 2) attributes.handled_access_fs |= 1ULL << 13;  // REFER
  if (abi >= 3) attributes.handled_access_fs |= kTruncate;
  if (abi >= 6) attributes.scoped = 1 | 2;  // abstract unix sockets, signals
  const std::size_t size = abi >= 6 ? sizeof attributes : sizeof attributes.handled_access_fs;
  const net::Descriptor ruleset(
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, size, 0)));
  if (!ruleset.is_open()) return missing("Landlock", "");
  TRY(add_rule(ruleset.get(), "/", kReadFile));
  const std::uint64_t devices = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;
  for (const std::string& path : writable) {
    TRY(add_rule(ruleset.get(), path.c_str(), attributes.handled_access_fs & ~devices));
  }
  TRY(add_rule(ruleset.get(), "/dev", kReadFile | LANDLOCK_ACCESS_FS_WRITE_FILE));
  // `echo 1000 > /proc/self/oom_score_adj` truncates.
  TRY(add_rule(
      ruleset.get(), "/proc",
      attributes.handled_access_fs & (kReadFile | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate)));
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) return missing("Landlock", "");
  return {};
}

}  // namespace gatehouse::sandbox
