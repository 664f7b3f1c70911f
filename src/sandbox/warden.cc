// SPDX-License-Identifier: Apache-2.0
#include "sandbox/warden.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <span>
#include <string>

#include "ipc/codec.h"
#include "sandbox/launch.h"

namespace gatehouse::sandbox {
namespace {

constexpr std::size_t kPlanMost = 1024 * 1024;

bool send_with(std::string_view text, std::span<const int> fds) {
  iovec part{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  return sendmsg(kWardenLine, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

int refuse(const Error& error) {
  send_with("E" + std::to_string(error.code()) + " " + error.message(), {});
  return row_of(error.code()).exit_code;
}

Result<Plan> read_plan() {
  std::string bytes(kPlanMost, '\0');
  const ssize_t got = recv(kWardenLine, bytes.data(), bytes.size(), 0);
  if (got <= 0) return failure(Error::kClosed, "no plan came");
  return ipc::decode<Plan>(std::string_view(bytes).substr(0, static_cast<std::size_t>(got)));
}

bool report(const Launched& launched) {
  std::vector<int> fds;
  for (const net::Descriptor& fd : launched.door.fds) fds.push_back(fd.get());
  fds.push_back(launched.cgroup->freeze_fd());
  const bool by_pidfd = launched.cgroup->kill_fd() < 0;
  fds.push_back(by_pidfd ? launched.pidfd.get() : launched.cgroup->kill_fd());
  for (const net::Descriptor& fd : launched.stdio) fds.push_back(fd.get());
  std::string text = "L";
  text += launched.cgroup->freezer_v1() ? '1' : '2';
  text += by_pidfd ? 'p' : 'k';
  for (const std::string& missing : launched.cgroup->not_enforced()) text += "\n" + missing;
  return send_with(text, fds);
}

void freeze(const Launched& launched) {
  const std::string_view word = launched.cgroup->freezer_v1() ? "FROZEN" : "1";
  [[maybe_unused]] const ssize_t written =
      ::write(launched.cgroup->freeze_fd(), word.data(), word.size());
}

}  // namespace

int guard_sandbox(int init_fd) {
  prctl(PR_SET_DUMPABLE, 0);
  const Result<Plan> plan = read_plan();
  if (!plan) return refuse(plan.error());
  Result<Launched> launched = launch(*plan, init_fd);
  if (!launched) return refuse(launched.error());
  if (!report(*launched)) return 70;
  launched->stdio.clear();
  for (net::Descriptor& fd : launched->door.fds) fd.reset();
  std::array<pollfd, 2> waits = {pollfd{kWardenLine, POLLIN, 0},
                                 pollfd{launched->pidfd.get(), POLLIN, 0}};
  while ((waits[1].revents & POLLIN) == 0) {
    if (poll(waits.data(), waits.size(), -1) < 0) continue;
    if (waits[0].revents == 0) continue;
    char word = 0;
    if (recv(kWardenLine, &word, 1, MSG_DONTWAIT) == 1 && word == 'G') {
      send(launched->go.get(), "G", 1, MSG_NOSIGNAL);
      continue;
    }
    // Sandboxd is gone: first still, then ended.
    freeze(*launched);
    launched->cgroup->kill_all();
    kill(launched->pid, SIGKILL);
    launched->cgroup->thaw();  // on cgroup v1 what is frozen dies only when it is thawed
    break;
  }
  int status = 0;
  waitpid(launched->pid, &status, 0);
  const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  launched->cgroup.reset();  // before it is said: then nothing of the sandbox is left
  send_with("X" + std::to_string(code), {});
  return 0;
}

}  // namespace gatehouse::sandbox
