// SPDX-License-Identifier: Apache-2.0
// Pid 1 of a sandbox: starts the command, reaps what is orphaned, passes signals on, and ends as
// the command ended (128 + signal, as a shell says it). When it ends, the kernel ends everything
// else in the sandbox.
//
//   init pty|pipe CMD [ARG ...]
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <initializer_list>

namespace {

volatile sig_atomic_t g_command = 0;

void pass_on(int signal) {
  if (g_command > 0) kill(g_command, signal);
}

void say(const char* command) {
  const char* why = strerror(errno);
  for (const char* part : {command, ": ", why, "\n"}) {
    if (write(2, part, strlen(part)) < 0) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 64;
  prctl(PR_SET_DUMPABLE, 0);
  const bool pty = strcmp(argv[1], "pty") == 0;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH}) {
    struct sigaction action{};
    action.sa_handler = pass_on;
    sigaction(signal, &action, nullptr);
  }
  const pid_t command = fork();
  if (command < 0) {
    say("fork");
    return 71;
  }
  if (command == 0) {
    setsid();
    if (pty) ioctl(0, TIOCSCTTY, 0);
    // What is ignored or blocked outside must not be inside: SIGPIPE ends `yes | head`.
    // By the system call itself: the C library leaves its own two (32 and 33) as they are.
    constexpr std::array<unsigned long, 4> kUsual{};  // struct kernel_sigaction: SIG_DFL, no flags
    for (int signal = 1; signal < NSIG; ++signal) {
      syscall(SYS_rt_sigaction, signal, kUsual.data(), nullptr, sizeof(unsigned long));
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execvp(argv[2], argv + 2);
    say(argv[2]);
    _exit(errno == ENOENT ? 127 : 126);
  }
  g_command = command;
  // The command's streams are its own: a reader outside sees their end when the command closes
  // them.
  close(0);
  close(1);
  close(2);
  while (true) {
    int status = 0;
    const pid_t ended = wait(&status);
    if (ended < 0 && errno == EINTR) continue;
    if (ended < 0) return 70;
    if (ended != command) continue;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
}
