// SPDX-License-Identifier: Apache-2.0
#include "ipc/probe.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "net/descriptor.h"

namespace gatehouse::ipc {
namespace {

// 0, or the errno of the refusal.
using Outcome = int;

// What stands in the way is told from what is wrong with the attempt itself: each system call below
// is given nonsense that it finds fault with only after it was let in.
bool is_refusal(Outcome outcome) {
  return outcome == EPERM || outcome == EACCES || outcome == ENOSYS || outcome == EAFNOSUPPORT
         || outcome == EPROTONOSUPPORT || outcome == ESOCKTNOSUPPORT || outcome == ENOENT;
}

Outcome outcome_of(long returned) { return returned < 0 ? errno : 0; }

Outcome open_and_close(const std::string& path, int flags) {
  const net::Descriptor fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  return fd.is_open() ? 0 : errno;
}

Outcome make_socket(int family, int type) {
  const net::Descriptor fd(::socket(family, type | SOCK_CLOEXEC, 0));
  return fd.is_open() ? 0 : errno;
}

Outcome enter(const std::string& path) { return open_and_close(path, O_RDONLY | O_DIRECTORY); }

// A role works in a folder that it may not be able to come to by its path, which leads through a
// private home.
Outcome enter_folder(const std::string& path) {
  std::array<char, 4096> here{};
  const bool is_here = getcwd(here.data(), here.size()) != nullptr && path == here.data();
  return enter(is_here ? "." : path);
}

Outcome try_file(Ability ability, const std::string& data) {
  switch (ability) {
    case Ability::kReadShadow:
      return open_and_close("/etc/shadow", O_RDONLY);
    case Ability::kListRoot:
      return enter("/");
    case Ability::kReadResolver:
      return open_and_close("/etc/resolv.conf", O_RDONLY);
    case Ability::kMakeFile:
      return open_and_close("/tmp", O_WRONLY | O_TMPFILE);
    case Ability::kReadAudit:
      return enter_folder(data + "/audit");
    case Ability::kReadVault:
      return enter_folder(data + "/vault");
    case Ability::kReadState:
      return enter_folder(data + "/state");
    default:
      return enter_folder(data + "/volumes");
  }
}

Outcome try_socket(Ability ability) {
  switch (ability) {
    case Ability::kInternet:
      return make_socket(AF_INET, SOCK_STREAM);
    case Ability::kUnixSocket:
      return make_socket(AF_UNIX, SOCK_STREAM);
    case Ability::kNetlink:
      return make_socket(AF_NETLINK, SOCK_RAW);
    case Ability::kPacket:
      return make_socket(AF_PACKET, SOCK_RAW);
    case Ability::kVsock:
      return make_socket(AF_VSOCK, SOCK_STREAM);
    default:
      return make_socket(AF_ALG, SOCK_SEQPACKET);
  }
}

Outcome try_call(Ability ability) {
  constexpr long kNonsense = 0x7fffffff;
  switch (ability) {
    case Ability::kExecute: {
      // An empty path is not found only after the filter has let the call in.
      const Outcome outcome = outcome_of(syscall(SYS_execve, "", nullptr, nullptr));
      return outcome == ENOENT ? 0 : outcome;
    }
    case Ability::kThread:
      // A thread without the signals of its process is none.
      return outcome_of(syscall(SYS_clone, CLONE_THREAD, 0L, nullptr, nullptr, 0L));
    case Ability::kNamespaces:
      return outcome_of(syscall(SYS_unshare, CLONE_NEWUSER | 1));
    case Ability::kMount:
      return outcome_of(syscall(SYS_mount, nullptr, nullptr, nullptr, 0L, nullptr));
    case Ability::kTrace:
      return outcome_of(syscall(SYS_ptrace, PTRACE_SEIZE, getpid(), 0L, kNonsense));
    case Ability::kBpf:
      return outcome_of(syscall(SYS_bpf, kNonsense, nullptr, 0L));
    case Ability::kIoUring:
      return outcome_of(syscall(SYS_io_uring_setup, 0L, nullptr));
    case Ability::kTypeIntoTerminal:
      // Where a filter lets it through, the kernel answers that this is no descriptor.
      return outcome_of(ioctl(-1, TIOCSTI, ""));
    case Ability::kUserfault:
      return outcome_of(syscall(SYS_userfaultfd, kNonsense));
    case Ability::kPerf:
      return outcome_of(syscall(SYS_perf_event_open, nullptr, 0L, -1L, -1L, kNonsense));
    case Ability::kKeyring:
      return outcome_of(syscall(SYS_keyctl, kNonsense, 0L, 0L, 0L, 0L));
    default:
      return outcome_of(syscall(SYS_setresuid, -1L, 0L, -1L));
  }
}

Outcome try_on(Ability ability, int pid) {
  switch (ability) {
    case Ability::kReadMemory: {
      char byte = 0;
      const iovec mine{&byte, 1};
      const iovec theirs{reinterpret_cast<void*>(0x1000), 1};
      return outcome_of(syscall(SYS_process_vm_readv, pid, &mine, 1L, &theirs, 1L, 0L));
    }
    case Ability::kOpenMemory:
      return open_and_close(fmt::format("/proc/{}/mem", pid), O_RDONLY);
    default:
      return outcome_of(syscall(SYS_tgkill, pid, pid, 0));
  }
}

Outcome try_on_any(Ability ability, const std::vector<std::int32_t>& others) {
  Outcome last = ENOENT;
  for (const std::int32_t pid : others) {
    last = try_on(ability, pid);
    if (!is_refusal(last) && last != ESRCH) return last;
  }
  return last == ESRCH ? ENOENT : last;
}

Outcome try_one(Ability ability, const Probe& probe) {
  if (ability <= Ability::kReadVolumes) return try_file(ability, probe.data);
  if (ability <= Ability::kKernelCrypto) return try_socket(ability);
  if (ability <= Ability::kBecomeRoot) return try_call(ability);
  return try_on_any(ability, probe.others);
}

}  // namespace

std::string_view text(Ability ability) {
  switch (ability) {
    case Ability::kReadShadow:
      return "read root's files (/etc/shadow)";
    case Ability::kListRoot:
      return "look around on the host (/)";
    case Ability::kReadResolver:
      return "read /etc/resolv.conf";
    case Ability::kMakeFile:
      return "make files (/tmp)";
    case Ability::kReadAudit:
      return "enter the log's folder";
    case Ability::kReadVault:
      return "enter the vault's folder";
    case Ability::kReadState:
      return "enter the state's folder";
    case Ability::kReadVolumes:
      return "enter the volumes' folder";
    case Ability::kInternet:
      return "make a socket to the internet";
    case Ability::kUnixSocket:
      return "make a unix socket";
    case Ability::kNetlink:
      return "speak with the kernel's network (netlink)";
    case Ability::kPacket:
      return "send raw packets";
    case Ability::kVsock:
      return "speak with the hypervisor (vsock)";
    case Ability::kKernelCrypto:
      return "use the kernel's crypto sockets";
    case Ability::kExecute:
      return "start a program";
    case Ability::kThread:
      return "start a thread or a process";
    case Ability::kNamespaces:
      return "make namespaces";
    case Ability::kMount:
      return "mount";
    case Ability::kTrace:
      return "trace a process";
    case Ability::kBpf:
      return "load BPF";
    case Ability::kIoUring:
      return "use io_uring";
    case Ability::kTypeIntoTerminal:
      return "type into a terminal (TIOCSTI)";
    case Ability::kUserfault:
      return "handle page faults (userfaultfd)";
    case Ability::kPerf:
      return "count events (perf)";
    case Ability::kKeyring:
      return "use keyrings";
    case Ability::kBecomeRoot:
      return "be root";
    case Ability::kReadMemory:
      return "read another role's memory";
    case Ability::kOpenMemory:
      return "open another role's memory";
    case Ability::kSignal:
      return "signal another role";
  }
  return "?";
}

std::vector<Attempt> try_everything(const Probe& probe) {
  std::vector<Attempt> attempts;
  for (std::size_t i = 0; i < kAbilities; ++i) {
    const auto ability = static_cast<Ability>(i);
    const Outcome outcome = try_one(ability, probe);
    const bool refused = is_refusal(outcome);
    const char* name = refused ? strerrorname_np(outcome) : nullptr;
    attempts.push_back({ability, !refused, name == nullptr ? "" : name});
  }
  return attempts;
}

}  // namespace gatehouse::ipc
