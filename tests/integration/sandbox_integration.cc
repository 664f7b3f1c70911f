// SPDX-License-Identifier: Apache-2.0
// The cell, with real programs in it: what works there as it does outside, and what ends.
#include <algorithm>
#include <chrono>
#include <fstream>

#include "cell.h"

namespace gatehouse::sandbox {
namespace {

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
  EXPECT_GE(about.st_uid, host_paths().first_uid) << "uid 0 inside or outside owns nothing here";
  request.run.user = "bob";
  EXPECT_EQ(shell("cat ~/note").status, 1) << "another user's home is another one";
  EXPECT_NE(shell("cat /home/*/note ../*/note /*+alice/note").status, 0);
}

TEST_F(Cell, CannotChangeAFileThatIsGuarded) {
  std::filesystem::create_directories(directory + "/default+tester+alice/work/deep");
  std::ofstream(directory + "/default+tester+alice/work/deep/SOUL.md") << "be good\n";
  const std::string volume = "default+tester+alice";
  for (const char* mine : {"", "/work", "/work/deep", "/work/deep/SOUL.md"}) {
    const std::uint32_t uid = host_uid_of(volume, host_paths());
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

TEST_F(Cell, CannotMakeAGuardedFileThatIsNotThere) {
  request.read_only_files = {"SOUL.md", "work/deep/SOUL.md"};
  const Outcome outcome = shell(
      "cd ~; for f in SOUL.md work/deep/SOUL.md; do echo evil > $f; rm -f $f; echo evil > y; "
      "mv -f y $f; ln -f y $f; ln -sf y $f; cat $f; done; mv work away; rm -rf work; "
      "cat work/deep/SOUL.md");
  EXPECT_EQ(outcome.refused, "");
  EXPECT_FALSE(outcome.out.contains("evil")) << outcome.out << outcome.err;
  request.read_only_files.clear();
  EXPECT_FALSE(shell("cat ~/SOUL.md ~/work/deep/SOUL.md").out.contains("evil"))
      << "and nothing of it stays for a start that does not guard";
}

TEST_F(Cell, DoesNotStartOverAPlantedLink) {
  ASSERT_EQ(shell("echo evil > ~/evil; ln -s evil ~/SOUL.md").status, 0);
  request.read_only_files = {"SOUL.md"};
  EXPECT_TRUE(run({"/bin/true"}).refused.contains("SOUL.md"));
  request.read_only_files.clear();
  ASSERT_EQ(shell("rm ~/SOUL.md; mkdir ~/evils; ln -s evils ~/work").status, 0);
  request.read_only_files = {"work/SOUL.md"};
  EXPECT_TRUE(run({"/bin/true"}).refused.contains("work"));
}

TEST_F(Cell, StartsWithTheUsualSignals) {
  // A program that is given SIGPIPE ignored would write on for ever.
  Outcome outcome = shell("grep -E 'Sig(Ign|Blk)' /proc/self/status");
  EXPECT_EQ(outcome.out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  EXPECT_EQ(shell("trap").out, "");
  outcome = shell("yes | head -1; echo ${PIPESTATUS[*]}");
  EXPECT_EQ(outcome.out, "y\n141 0\n") << outcome.err;
  EXPECT_EQ(outcome.err, "");
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
                           "for port in (123, 443):\n"  // of which 443 would be HTTP/3
                           "  s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                           "  s.settimeout(5)\n"
                           "  s.connect(('8.8.8.8', port))\n"
                           "  try:\n    s.send(b'x'); s.recv(10)\n"
                           "  except ConnectionRefusedError: print('refused', port)\n"});
  EXPECT_EQ(udp.out, "refused 123\nrefused 443\n") << udp.err;
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

TEST_F(Cell, EndsWholeWithItsCommand) {
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(
      shell("setsid sleep 100 >/dev/null 2>&1 & disown; (sleep 100 &) >/dev/null 2>&1; exit 3")
          .status,
      3);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30));
  for (const char* root : {"/sys/fs/cgroup/unified/gatehouse", "/sys/fs/cgroup/gatehouse",
                           "/sys/fs/cgroup/memory/gatehouse", "/sys/fs/cgroup/pids/gatehouse"}) {
    EXPECT_FALSE(std::filesystem::exists(std::string(root) + "/" + request.run.run.text()))
        << "no cgroup stays behind in " << root;
  }
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
