// SPDX-License-Identifier: Apache-2.0
// The cell, with real programs in it. Each act is one that works outside.
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
#include <chrono>
#include <filesystem>
#include <fstream>

#include "sandbox/launch.h"

namespace gatehouse::sandbox {
namespace {

struct Outcome {
  int status = -1;
  std::string out;
  std::string err;
  std::string refused;  // why it was not made at all
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
    const std::size_t first = told.find('\0');
    const std::size_t second = told.find('\0', first + 1);
    const std::size_t third = told.find('\0', second + 1);
    if (third == std::string::npos) return outcome;
    outcome.status = std::stoi(told.substr(0, first));
    outcome.refused = told.substr(first + 1, second - first - 1);
    outcome.out = told.substr(second + 1, third - second - 1);
    outcome.err = told.substr(third + 1);
    return outcome;
  }
  Outcome shell(const std::string& script, bool answer_names = false) {
    return run({"/bin/bash", "-c", script}, answer_names);
  }

  ipc::CreateSandbox request;
  std::string directory;

 private:
  std::string run_here(bool answer_names) {
    const std::string nul(1, '\0');
    const auto plan = make_plan(request, {directory, "host anchors\n"});
    if (!plan) return "-1" + nul + plan.error().message() + nul + nul;
    const char* bin = getenv("GATEHOUSE_BIN");
    const int init = open((std::string(bin) + "/gatehouse-init").c_str(), O_RDONLY | O_CLOEXEC);
    auto launched = launch(*plan, init);
    if (!launched) return "-1" + nul + launched.error().message() + nul + nul;
    send(launched->go.get(), "G", 1, 0);
    if (!plan->pty) launched->stdio.erase(launched->stdio.begin());  // no input
    std::array<std::string, 2> texts;
    std::size_t open_ends = launched->stdio.size();
    std::string captured;
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
    return std::to_string(code) + nul + nul + texts[0] + nul + texts[1];
  }
};

TEST_F(Cell, EndsAsItsCommandEnds) {
  const Outcome zero = run({"/bin/true"});
  EXPECT_EQ(zero.refused, "");
  EXPECT_EQ(zero.status, 0);
  EXPECT_EQ(shell("exit 7").status, 7);
  EXPECT_EQ(shell("kill -TERM $$").status, 128 + 15);
  EXPECT_EQ(run({"no-such-command"}).status, 127);
}

TEST_F(Cell, KeepsOutputAndErrorsApart) {
  const Outcome outcome = shell("echo to-out; echo to-err >&2");
  EXPECT_EQ(outcome.out, "to-out\n");
  EXPECT_EQ(outcome.err, "to-err\n");
}

TEST_F(Cell, IsATerminalWhenOneIsAskedFor) {
  request.pty = true;
  request.rows = 33;
  request.columns = 99;
  const Outcome outcome = shell("tty; stty size; test -t 0 && test -t 1 && echo yes");
  EXPECT_EQ(outcome.refused, "");
  EXPECT_TRUE(outcome.out.contains("/dev/pts/")) << outcome.out;
  EXPECT_TRUE(outcome.out.contains("33 99")) << outcome.out;
  EXPECT_TRUE(outcome.out.contains("yes")) << outcome.out;
}

TEST_F(Cell, SeesNothingOfTheHost) {
  std::ofstream(directory + "/secret") << "host secret";
  const Outcome outcome = shell("cat /etc/shadow " + directory + "/secret /root/.bashrc; ls /home; "
                                "ls /; ls /proc | grep -v '^[0-9]' ; ls -d /proc/[0-9]* | wc -l; "
                                "cat /proc/sys/kernel/core_pattern; ls /sys");
  EXPECT_FALSE(outcome.out.contains("root:")) << outcome.out;
  EXPECT_FALSE(outcome.out.contains("host secret"));
  EXPECT_FALSE(outcome.out.contains("core"));
  EXPECT_TRUE(outcome.out.contains("agent\n"));
  EXPECT_FALSE(outcome.out.contains("kcore"));
}

TEST_F(Cell, HasAHomeThatStaysAndIsItsOwn) {
  EXPECT_EQ(shell("echo remembered > ~/note").status, 0);
  EXPECT_EQ(shell("cat ~/note").out, "remembered\n");
  struct stat about{};
  ASSERT_EQ(stat((directory + "/default+tester+alice/note").c_str(), &about), 0);
  EXPECT_GE(about.st_uid, kFirstHostUid) << "uid 0 inside or outside owns nothing here";
  request.run.user = "bob";
  EXPECT_EQ(shell("cat ~/note").status, 1) << "another user's home is another one";
  EXPECT_NE(shell("cat /home/*/note ../*/note /*+alice/note").status, 0);
}

TEST_F(Cell, CannotChangeAFileThatIsGuarded) {
  std::filesystem::create_directories(directory + "/default+tester+alice/work/deep");
  std::ofstream(directory + "/default+tester+alice/work/deep/SOUL.md") << "be good\n";
  const std::string volume = "default+tester+alice";
  for (const char* mine : {"", "/work", "/work/deep", "/work/deep/SOUL.md"}) {
    const std::uint32_t uid = host_uid_of(volume);
    ASSERT_EQ(chown((directory + "/" + volume + mine).c_str(), uid, uid), 0);
  }
  EXPECT_EQ(shell("echo better > ~/work/deep/SOUL.md; cat ~/work/deep/SOUL.md").out, "better\n")
      << "unguarded, the agent can";
  EXPECT_EQ(shell("echo 'be good' > ~/work/deep/SOUL.md").status, 0);
  request.read_only_files = {"work/deep/SOUL.md"};
  const Outcome outcome = shell(
      "cd ~/work/deep; echo evil > SOUL.md; echo evil >> SOUL.md; rm -f SOUL.md; mv SOUL.md x; "
      "echo evil > y; mv y SOUL.md; ln -f y SOUL.md; cd ~; mv work work2; mv work/deep work/d2; "
      "rm -rf work; cat ~/work/deep/SOUL.md");
  EXPECT_EQ(outcome.out, "be good\n") << outcome.err;
  EXPECT_EQ(shell("echo fine > ~/work/deep/other; cat ~/work/deep/other").out, "fine\n");
}

TEST_F(Cell, HoldsNoPrivilege) {
  const Outcome outcome = shell(
      "id -u; cat /proc/self/uid_map; grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' "
      "/proc/self/status; "
      "unshare -Ur true; mount -t tmpfs x /tmp; ip link add d type dummy; ip link set lo down; "
      "nft flush ruleset; cp /bin/sleep ~/s; chmod 4755 ~/s; hostname evil; "
      "python3 -c 'import socket; socket.socket(40, 1)'; python3 -c 'import socket; "
      "socket.socket(2, 3, 1)'; "
      "echo x > /usr/x; echo x > /etc/passwd; echo x > /dev/x; true");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(outcome.out.starts_with("1000\n")) << outcome.out;
  EXPECT_TRUE(outcome.out.contains("CapEff:\t0000000000000000")) << outcome.out;
  EXPECT_TRUE(outcome.out.contains("CapBnd:\t0000000000000000")) << outcome.out;
  EXPECT_TRUE(outcome.out.contains("NoNewPrivs:\t1")) << outcome.out;
  EXPECT_TRUE(outcome.out.contains("Seccomp:\t2")) << outcome.out;
  int refusals = 0;
  for (std::size_t at = 0; at != std::string::npos; at = outcome.err.find('\n', at + 1)) ++refusals;
  EXPECT_GE(refusals, 11) << outcome.err;
}

TEST_F(Cell, ReachesNothingButTheDoor) {
  const Outcome tcp =
      run({"python3", "-c",
           "import socket\n"
           "for to in (('169.254.169.254', 80), ('8.8.8.8', 53), ('10.0.0.1', 22)):\n"
           "  s = socket.create_connection(to, 5); print(s.recv(100).decode(), end='')\n"});
  EXPECT_EQ(tcp.out, "CAPTURED 2852039166:80\nCAPTURED 134744072:53\nCAPTURED 167772161:22\n")
      << tcp.err;
  const Outcome udp = run({"python3", "-c",
                           "import socket\n"
                           "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                           "s.settimeout(5)\n"
                           "s.connect(('8.8.8.8', 123))\n"
                           "try:\n  s.send(b'x'); s.recv(10)\n"
                           "except ConnectionRefusedError: print('refused')\n"});
  EXPECT_EQ(udp.out, "refused\n") << udp.err;
  const Outcome names =
      run({"python3", "-c",
           "import socket\n"
           "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
           "s.settimeout(5)\n"
           "s.sendto(b'\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\1a\\0\\0\\1\\0\\1', "
           "('8.8.8.8', 53))\n"
           "data, by = s.recvfrom(512)\n"
           "print(data[3] & 15, by[0])\n"},
          true);
  EXPECT_EQ(names.out, "3 8.8.8.8\n") << names.err;
}

TEST_F(Cell, IsLimited) {
  request.memory_most_bytes = 128 << 20;
  const Outcome memory =
      run({"python3", "-c", "x = bytearray(1 << 30)\nfor i in range(0, 1 << 30, 4096): x[i] = 1"});
  EXPECT_EQ(memory.status, 137) << memory.err;
  request.memory_most_bytes = 0;
  request.pids_most = 32;
  const Outcome bomb = shell("for i in $(seq 200); do sleep 5 & done 2>&1; echo alive");
  EXPECT_TRUE((bomb.out + bomb.err).contains("Resource temporarily unavailable"))
      << bomb.out << bomb.err;
}

TEST_F(Cell, EndsWholeWithItsCommand) {
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(
      shell("setsid sleep 100 >/dev/null 2>&1 & disown; (sleep 100 &) >/dev/null 2>&1; exit 3")
          .status,
      3);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30));
  int left = 0;
  for (const char* root : {"/sys/fs/cgroup/unified/gatehouse", "/sys/fs/cgroup/gatehouse",
                           "/sys/fs/cgroup/memory/gatehouse", "/sys/fs/cgroup/pids/gatehouse"}) {
    if (!std::filesystem::exists(root)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(root))
      left += entry.is_directory() ? 1 : 0;
  }
  EXPECT_EQ(left, 0) << "no cgroup stays behind";
}

TEST_F(Cell, RunsRealTools) {
  const Outcome outcome = shell(
      "git --version && curl --version | head -1 && python3 -c 'import ssl, threading, subprocess; "
      "t = threading.Thread(target=lambda: print(subprocess.check_output([\"echo\", "
      "\"hi\"]).decode())); "
      "t.start(); t.join()' && cd ~ && git init -q repo && cd repo && touch a && git add a && "
      "git -c user.name=a -c user.email=a@b commit -qm one && git log --oneline | wc -l");
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  EXPECT_TRUE(outcome.out.ends_with("1\n")) << outcome.out;
}

TEST_F(Cell, SaysHowLongAStartTakes) {
  std::vector<double> times;
  for (int i = 0; i < 20; ++i) {
    const auto began = std::chrono::steady_clock::now();
    ASSERT_EQ(run({"/bin/true"}).status, 0);
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
            .count());
  }
  std::sort(times.begin(), times.end());
  std::printf("cold start to the end of /bin/true: median %.1f ms of 20\n", times[10]);
}

}  // namespace
}  // namespace gatehouse::sandbox
