// SPDX-License-Identifier: Apache-2.0
// A real sandbox around a real program, run to its end: what the tests of the cell stand on.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "host/user_namespace.h"
#include "sandbox/launch.h"

namespace gatehouse::sandbox {

struct Outcome {
  int status = -1;
  std::string out;
  std::string err;
  std::string refused;  // why it was not made at all
  std::string seen;     // by `look`
};

class Cell : public testing::Test {
 protected:
  Cell() {
    std::string pattern = "/tmp/gatehouse-cell-XXXXXX";
    directory = mkdtemp(pattern.data());
    chmod(directory.c_str(), 0711);
    request.run.run = RunId::fresh();
    request.run.tenant = "default";
    request.run.agent = "tester";
    request.run.user = "alice";
  }
  ~Cell() override { std::filesystem::remove_all(directory); }

  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "sandboxes are built as root in this mode";
  }

  // Runs it to its end. The launcher moves its process into the sandbox's network, so that a child
  // does it.
  Outcome run(std::vector<std::string> argv, bool answer_names = false) {
    request.argv = std::move(argv);
    request.run.run = RunId::fresh();
    std::array<int, 2> ends{};
    EXPECT_EQ(pipe(ends.data()), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      const std::string told = run_here(answer_names);
      [[maybe_unused]] const ssize_t put = write(ends[1], told.data(), told.size());
      _exit(0);
    }
    close(ends[1]);
    std::string told;
    std::array<char, 4096> buffer;
    for (ssize_t got = 0; (got = read(ends[0], buffer.data(), buffer.size())) > 0;) {
      told.append(buffer.data(), static_cast<std::size_t>(got));
    }
    close(ends[0]);
    waitpid(child, nullptr, 0);
    Outcome outcome;
    std::string status;
    for (std::string* part :
         {&status, &outcome.refused, &outcome.seen, &outcome.out, &outcome.err}) {
      const std::size_t end = std::min(told.find('\0'), told.size());
      *part = told.substr(0, end);
      told.erase(0, end + 1);
    }
    if (!status.empty()) outcome.status = std::stoi(status);
    return outcome;
  }
  Outcome shell(const std::string& script, bool answer_names = false) {
    return run({"/bin/bash", "-c", script}, answer_names);
  }

  // As root of the host; or, as a house without root is, of one user's namespaces.
  [[nodiscard]] static bool is_rootless() { return !host::is_root_outside(); }
  [[nodiscard]] HostPaths host_paths() const {
    HostPaths host{directory, "host anchors\n"};
    if (!is_rootless()) return host;
    host.cgroups = host::kNoCgroups;
    host.first_uid = 0;
    host.uids = 1;
    host.limits_best_effort = true;
    return host;
  }

  ipc::CreateSandbox request;
  std::string directory;
  // What is to be seen from outside of the sandbox's first process, built but not yet let go.
  std::function<std::string(pid_t)> look;

 private:
  std::string run_here(bool answer_names) {
    const std::string nul(1, '\0');
    const auto plan = make_plan(request, host_paths());
    if (!plan) return "-1" + nul + plan.error().message() + nul;
    const char* bin = getenv("GATEHOUSE_BIN");
    const int init = open((std::string(bin) + "/gatehouse-init").c_str(), O_RDONLY | O_CLOEXEC);
    auto launched = launch(*plan, init);
    if (!launched) return "-1" + nul + launched.error().message() + nul;
    const std::string seen = look ? look(launched->pid) : "";
    send(launched->go.get(), "G", 1, 0);
    if (!plan->pty) launched->stdio.erase(launched->stdio.begin());  // no input
    std::array<std::string, 2> texts;
    std::size_t open_ends = launched->stdio.size();
    while (open_ends > 0) {
      std::array<pollfd, 4> waits = {
          pollfd{launched->stdio[0].get(), POLLIN, 0},
          pollfd{plan->pty ? -1 : launched->stdio[1].get(), POLLIN, 0},
          pollfd{launched->door.fds[1].get(), POLLIN, 0},
          pollfd{answer_names ? launched->door.fds[3].get() : -1, POLLIN, 0}};
      poll(waits.data(), waits.size(), 30'000);
      for (std::size_t i = 0; i < 2; ++i) {
        if (waits[i].revents == 0) continue;
        std::array<char, 4096> buffer;
        const ssize_t got = read(waits[i].fd, buffer.data(), buffer.size());
        if (got <= 0) {
          launched->stdio[i].reset();
          if (plan->pty) launched->stdio[i] = net::Descriptor();
          --open_ends;
          continue;
        }
        texts[i].append(buffer.data(), static_cast<std::size_t>(got));
      }
      if ((waits[2].revents & POLLIN) != 0) {
        const int peer = accept(launched->door.fds[1].get(), nullptr, nullptr);
        sockaddr_in to{};
        socklen_t size = sizeof to;
        getsockopt(peer, SOL_IP, 80 /* SO_ORIGINAL_DST */, &to, &size);
        const std::string told = "CAPTURED " + std::to_string(ntohl(to.sin_addr.s_addr)) + ":"
                                 + std::to_string(ntohs(to.sin_port)) + "\n";
        [[maybe_unused]] const ssize_t put = write(peer, told.data(), told.size());
        close(peer);
      }
      if ((waits[3].revents & POLLIN) != 0) {
        std::array<char, 512> query;
        sockaddr_in from{};
        socklen_t size = sizeof from;
        const ssize_t got = recvfrom(waits[3].fd, query.data(), query.size(), 0,
                                     reinterpret_cast<sockaddr*>(&from), &size);
        query[2] = static_cast<char>(0x81);
        query[3] = static_cast<char>(0x83);  // NXDOMAIN
        sendto(waits[3].fd, query.data(), static_cast<std::size_t>(got), 0,
               reinterpret_cast<sockaddr*>(&from), size);
      }
    }
    int status = 0;
    waitpid(launched->pid, &status, 0);
    const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return std::to_string(code) + nul + nul + seen + nul + texts[0] + nul + texts[1];
  }
};

}  // namespace gatehouse::sandbox
