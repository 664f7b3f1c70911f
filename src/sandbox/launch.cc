// SPDX-License-Identifier: Apache-2.0
#include "sandbox/launch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "host/user_namespace.h"
#include "sandbox/filter.h"
#include "sandbox/mounts.h"

namespace gatehouse::sandbox {
namespace {

constexpr int kInitDescriptor = 3;
constexpr rlim_t kUsualDescriptors = 1024;

Failure broken(std::string_view step) {
  return failure(Error::kUnsupported,
                 fmt::format("the sandbox: {}: {}", step, std::strerror(errno)));
}

// One end each of the line between the launcher and what becomes init.
struct Line {
  net::Descriptor outside;
  net::Descriptor inside;
};
Result<Line> make_line() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return broken("a line");
  return Line{net::Descriptor(ends[0]), net::Descriptor(ends[1])};
}

struct Stdio {
  std::array<net::Descriptor, 3> inside;
  std::vector<net::Descriptor> outside;
};
Result<Stdio> make_pipes() {
  Stdio stdio;
  for (std::size_t i = 0; i < 3; ++i) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return broken("a pipe");
    stdio.inside[i] = net::Descriptor(ends[i == 0 ? 0 : 1]);
    stdio.outside.emplace_back(ends[i == 0 ? 1 : 0]);
  }
  return stdio;
}

Result<void> write_map(pid_t pid, const char* name, const std::string& text) {
  const std::string path = fmt::format("/proc/{}/{}", pid, name);
  const net::Descriptor fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.is_open()
      || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return broken(fmt::format("mapping its users ({})", name));
  }
  return {};
}

void send_text(int line, std::string_view text) {
  [[maybe_unused]] const ssize_t sent = send(line, text.data(), text.size(), MSG_NOSIGNAL);
}

// Init as a sealed file in memory: nobody can write to it through /proc/self/exe, and no path of
// the host is needed.
Result<net::Descriptor> copy_of_init(int init_fd) {
  net::Descriptor copy(memfd_create("init", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!copy.is_open()) return broken("a copy of init");
  const off_t size = lseek(init_fd, 0, SEEK_END);
  off_t at = 0;
  while (at < size) {
    if (sendfile(copy.get(), init_fd, &at, static_cast<std::size_t>(size - at)) <= 0) {
      return broken("a copy of init");
    }
  }
  if (fcntl(copy.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
      != 0) {
    return broken("a sealed copy of init");
  }
  return copy;
}

// --- inside: from the clone to the exec. Whatever fails is said on the line, and the process ends.

struct Inside {
  const Plan& plan;
  const host::Cgroup& cgroup;
  const Pieces& pieces;
  const std::vector<std::string>& filters;
  int init_fd;
  int line;
  Stdio* stdio;  // null with a PTY
};

Result<void> wait_for(int line, char wanted) {
  char word = 0;
  if (recv(line, &word, 1, 0) != 1 || word != wanted) return broken("the word from outside");
  return {};
}

// In a user namespace of one user, nobody's groups can be set; the house's start has said so.
bool are_groups_locked() {
  std::string word;
  std::ifstream("/proc/self/setgroups") >> word;
  return word == "deny";
}

Result<void> become_agent() {
  if (setgroups(0, nullptr) != 0 && !(errno == EPERM && are_groups_locked())) {
    return broken("no other groups");
  }
  if (setresgid(kUidInside, kUidInside, kUidInside) != 0
      || setresuid(kUidInside, kUidInside, kUidInside) != 0) {
    return broken("its own uid");
  }
  return {};
}

// By best effort, where no cgroup does it: for each process, or for the sandbox's user namespace.
Result<void> bound(int resource, rlim_t most, std::string_view what) {
  rlimit limit{};
  if (getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) {
    return broken(fmt::format("a limit on {}", what));
  }
  limit.rlim_max = std::min(limit.rlim_max, most);
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) {
    return broken(fmt::format("a limit on {}", what));
  }
  return {};
}

Result<void> give_up_privileges(const Plan& plan, const host::Cgroup& cgroup) {
  constexpr unsigned long kLocked =
      SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED
      | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  if (prctl(PR_SET_SECUREBITS, kLocked) != 0) return broken("locked securebits");
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    if (prctl(PR_CAPBSET_DROP, capability) != 0 && errno != EINVAL)
      return broken("no bounding set");
  }
  const std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)> none(cap_init(), cap_free);
  if (!none || cap_set_proc(none.get()) != 0) return broken("no capability");
  if (!cgroup.limits_memory()) TRY(bound(RLIMIT_DATA, plan.memory_most_bytes, "memory"));
  if (!cgroup.limits_pids()) TRY(bound(RLIMIT_NPROC, plan.pids_most, "processes"));
  const rlimit no_core{0, 0};
  if (setrlimit(RLIMIT_CORE, &no_core) != 0) return broken("no core dumps");
  // The house's own limit on descriptors is high; agents' programs may still use select(2).
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return broken("a limit on descriptors");
  files.rlim_cur = std::min(files.rlim_cur, kUsualDescriptors);
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) return broken("a limit on descriptors");
  // A session keyring of its own: the host's cannot be searched. Kernels without keyrings have none
  // to search.
  constexpr int kJoinSessionKeyring = 1;
  if (syscall(SYS_keyctl, kJoinSessionKeyring, nullptr) < 0 && errno != ENOSYS)
    return broken("a keyring");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return broken("no_new_privs");
  return {};
}

// A terminal of the sandbox's own devpts; its master goes outside.
Result<net::Descriptor> make_terminal(const Plan& plan, int line) {
  const net::Descriptor master(open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!master.is_open()) return broken("a terminal");
  int unlock = 0;
  ioctl(master.get(), TIOCSPTLCK, &unlock);
  net::Descriptor slave(ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!slave.is_open()) return broken("a terminal's other end");
  winsize size{};
  size.ws_row = plan.rows;
  size.ws_col = plan.columns;
  ioctl(master.get(), TIOCSWINSZ, &size);
  char word = 'T';
  iovec part{&word, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = master.get();
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (sendmsg(line, &message, MSG_NOSIGNAL) != 1) return broken("handing the terminal out");
  return slave;
}

Result<void> set_stdio(const Inside& in) {
  net::Descriptor terminal;
  for (int i = 0; i < 3; ++i) {
    if (in.stdio == nullptr && i == 0) terminal = TRY(make_terminal(in.plan, in.line));
    const int from =
        in.stdio == nullptr ? terminal.get() : in.stdio->inside[static_cast<std::size_t>(i)].get();
    if (dup2(from, i) < 0) return broken("its standard streams");
  }
  return {};
}

Result<void> confine_inside(const Inside& in) {
  TRY(wait_for(in.line, 'M'));  // mapped, and in its cgroups
  TRY(become_agent());
  TRY(enter_root(in.plan, in.pieces));
  if (sethostname("sandbox", 7) != 0) return broken("a host name");
  TRY(set_stdio(in));
  if (chdir(in.plan.working_directory.c_str()) != 0) {
    return failure(Error::kInvalid, fmt::format("the working directory {} is not in the sandbox",
                                                in.plan.working_directory));
  }
  if (!in.plan.no_landlock) TRY(restrict_files({std::string(kHome), "/tmp", "/run", "/dev/shm"}));
  TRY(give_up_privileges(in.plan, in.cgroup));
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // the change of uid has cleared it
  send_text(in.line, "R");
  TRY(wait_for(in.line, 'G'));
  // From here on nothing but the exec: the filter admits little.
  return load_filters(in.filters);
}

[[noreturn]] void run_inside(const Inside& in) {
  const Result<void> confined = confine_inside(in);
  if (!confined) {
    send_text(in.line, "E" + confined.error().message());
    _exit(70);
  }
  std::vector<std::string> words = {"init", in.plan.pty ? "pty" : "pipe"};
  words.insert(words.end(), in.plan.argv.begin(), in.plan.argv.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<std::string> environment = in.plan.environment;
  std::vector<char*> envp;
  for (std::string& item : environment) envp.push_back(item.data());
  envp.push_back(nullptr);
  dup2(in.init_fd, kInitDescriptor);
  fcntl(kInitDescriptor, F_SETFD, FD_CLOEXEC);
  close_range(kInitDescriptor + 1, ~0U, 0);
  fexecve(kInitDescriptor, argv.data(), envp.data());
  _exit(71);
}

// --- outside

Result<void> wait_until_ready(int line, std::vector<net::Descriptor>& terminal) {
  while (true) {
    std::array<char, 4096> text{};
    iovec part{text.data(), text.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = recvmsg(line, &message, MSG_CMSG_CLOEXEC);
    if (got <= 0) return failure(Error::kUnsupported, "the sandbox ended while it was made");
    if (text[0] == 'R') return {};
    if (text[0] == 'T') {
      const cmsghdr* header = CMSG_FIRSTHDR(&message);
      if (header == nullptr)
        return failure(Error::kInternal, "a terminal came without its descriptor");
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
      terminal.emplace_back(fd);
      continue;
    }
    return failure(Error::kUnsupported,
                   std::string(text.data() + 1, static_cast<std::size_t>(got - 1)));
  }
}

}  // namespace

Result<Launched> launch(const Plan& plan, int init_fd) {
  if (geteuid() != 0) {
    return failure(Error::kUnsupported,
                   "sandboxes are built as root, or as root of a user namespace of the house's");
  }
  // Root of such a namespace is nobody outside.
  if (plan.host_uid == 0 && host::is_root_outside()) {
    return failure(Error::kInternal, "the host's root is never mapped");
  }
  const std::vector<std::string> filters = TRY(compile_filters());
  const net::Descriptor init = TRY(copy_of_init(init_fd));
  const Pieces pieces = TRY(take_pieces(plan));
  Launched launched;
  launched.door = TRY(make_network());
  launched.cgroup = TRY(host::Cgroup::make(plan.cgroups, plan.run.run.text(),
                                           {plan.memory_most_bytes, plan.pids_most}));
  if (!launched.cgroup->is_whole() && !plan.limits_best_effort) {
    return failure(Error::kUnsupported, host::limits_refusal(launched.cgroup->not_enforced()));
  }
  Line line = TRY(make_line());
  Stdio stdio;
  if (!plan.pty) stdio = TRY(make_pipes());
  clone_args arguments{};
  int pidfd = -1;
  arguments.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS
                    | CLONE_NEWCGROUP | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof arguments));
  if (pid < 0) return broken("its namespaces; see /proc/sys/user/max_user_namespaces");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run_inside({plan, *launched.cgroup, pieces, filters, init.get(), line.inside.get(),
                plan.pty ? nullptr : &stdio});
  }
  launched.pid = pid;
  launched.pidfd = net::Descriptor(pidfd);
  line.inside.reset();
  const auto furnish = [&]() -> Result<void> {
    TRY(launched.cgroup->add(pid));
    TRY(write_map(pid, "uid_map", fmt::format("{} {} 1", kUidInside, plan.host_uid)));
    TRY(write_map(pid, "gid_map", fmt::format("{} {} 1", kUidInside, plan.host_uid)));
    send_text(line.outside.get(), "M");
    return wait_until_ready(line.outside.get(), stdio.outside);
  };
  if (const Result<void> furnished = furnish(); !furnished) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return Failure(furnished.error());
  }
  launched.stdio = std::move(stdio.outside);
  launched.go = std::move(line.outside);
  return launched;
}

}  // namespace gatehouse::sandbox
