// SPDX-License-Identifier: Apache-2.0
#include "supervisor/spawn.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/sanitizer.h"
#include "ipc/role.h"
#include "net/socket.h"

namespace gatehouse::supervisor {
namespace {

std::vector<std::string> environment_of_roles() {
  std::vector<std::string> environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"};
  std::vector<const char*> passed_on = {"GATEHOUSE_TESTING", "GATEHOUSE_LOG"};
  if constexpr (kSanitized) {
    passed_on.insert(passed_on.end(),
                     {"ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"});
  }
  for (const char* name : passed_on) {
    if (const char* value = std::getenv(name); value != nullptr) {
      environment.push_back(fmt::format("{}={}", name, value));
    }
  }
  return environment;
}

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> list;
  for (std::string& word : words) list.push_back(word.data());
  list.push_back(nullptr);
  return list;
}

// A mount namespace in which the data directory is empty but for those folders.
bool narrow(const View& view) {
  if (unshare(CLONE_NEWNS) != 0) return false;
  std::vector<int> trees;
  for (const std::string& folder : view.folders) {
    const std::string path = view.data + "/" + folder;
    trees.push_back(static_cast<int>(
        syscall(SYS_open_tree, AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
    if (trees.back() < 0) return false;
  }
  if (mount("tmpfs", view.data.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
            "size=64k,nr_inodes=64,mode=0755")
      != 0) {
    return false;
  }
  for (std::size_t i = 0; i < trees.size(); ++i) {
    const std::string path = view.data + "/" + view.folders[i];
    if (mkdir(path.c_str(), 0755) != 0
        || syscall(SYS_move_mount, trees[i], "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH)
               != 0) {
      return false;
    }
    close(trees[i]);
  }
  return mount(nullptr, view.data.c_str(), nullptr,
               MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr)
         == 0;
}

[[noreturn]] void become(char** argv, char** envp, int line, pid_t parent, const View& view) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(70);
  if (!view.data.empty() && !narrow(view)) {
    const std::string why =
        fmt::format("{}: a view of its own: {}\n", argv[0], std::strerror(errno));
    [[maybe_unused]] const ssize_t written = ::write(2, why.data(), why.size());
    _exit(70);
  }
  if (line == ipc::kSupervisorDescriptor) {
    fcntl(line, F_SETFD, 0);
  } else {
    dup2(line, ipc::kSupervisorDescriptor);
  }
  close_range(ipc::kSupervisorDescriptor + 1, ~0U, 0);
  // No role has a terminal: neither to read from nor to type into.
  setsid();
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0) _exit(70);
  close(nothing);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execve(argv[0], argv, envp);
  const std::string why = fmt::format("{}: {}\n", argv[0], std::strerror(errno));
  [[maybe_unused]] const ssize_t written = ::write(2, why.data(), why.size());
  _exit(71);
}

}  // namespace

Result<Spawned> spawn_role(std::vector<std::string> words, const View& view) {
  auto [ours, theirs] = TRY(net::make_socket_pair());
  std::vector<std::string> environment = environment_of_roles();
  std::vector<char*> argv = pointers_to(words);
  std::vector<char*> envp = pointers_to(environment);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return failure_from_errno(errno, "starting " + words[0]);
  if (pid == 0) become(argv.data(), envp.data(), theirs.get(), parent, view);
  Spawned spawned{pid, net::Descriptor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))),
                  std::move(ours)};
  if (!spawned.pidfd.is_open()) {
    const int why = errno;
    kill(pid, SIGKILL);  // nothing runs that is not watched
    waitpid(pid, nullptr, 0);
    return failure_from_errno(why, "watching " + words[0]);
  }
  return spawned;
}

}  // namespace gatehouse::supervisor
