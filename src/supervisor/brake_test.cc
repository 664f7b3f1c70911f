// SPDX-License-Identifier: Apache-2.0
// What a Brake does to the files that it was given, on cgroup2 and on cgroup v1, whose freezer has
// words and whose frozen processes die only when they are thawed.
#include "supervisor/brake.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace gatehouse::supervisor {
namespace {

// A directory with the files of one cgroup, and a process that waits in the place of a sandbox.
class BrakeTest : public testing::Test {
 protected:
  BrakeTest() {
    std::string pattern = "/tmp/gatehouse-test-XXXXXX";
    directory = mkdtemp(pattern.data());
    process = fork();
    if (process == 0) {
      while (true) pause();
    }
  }
  ~BrakeTest() override {
    if (process > 0) kill(process, SIGKILL);
    if (process > 0) waitpid(process, nullptr, 0);
    std::filesystem::remove_all(directory);
  }
  BrakeTest(const BrakeTest&) = delete;
  BrakeTest& operator=(const BrakeTest&) = delete;
  [[nodiscard]] net::Descriptor file(const char* name) const {
    return net::Descriptor(open((directory + "/" + name).c_str(), O_WRONLY | O_CREAT, 0600));
  }
  // What was written last: words of one length take each other's place in a file too.
  [[nodiscard]] std::string word(const char* name) const {
    std::string text;
    std::ifstream(directory + "/" + name) >> text;
    return text;
  }
  [[nodiscard]] net::Descriptor pidfd() const {
    return net::Descriptor(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));
  }
  // The signal that ended the process.
  int ended_by() {
    int status = 0;
    waitpid(process, &status, 0);
    process = -1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }

  std::string directory;
  pid_t process = -1;
};

TEST_F(BrakeTest, OfCgroup2FreezesThawsAndKillsByItsFiles) {
  const Brake brake{file("cgroup.freeze"), file("cgroup.kill"), ipc::Freezer::kV2, false, {}, ""};
  EXPECT_TRUE(brake.freeze());
  EXPECT_EQ(word("cgroup.freeze"), "1");
  EXPECT_TRUE(brake.thaw());
  EXPECT_EQ(word("cgroup.freeze"), "0");
  EXPECT_EQ(word("cgroup.kill"), "");
  EXPECT_TRUE(brake.destroy());
  EXPECT_EQ(word("cgroup.kill"), "1");
}

TEST_F(BrakeTest, OfCgroupV1SpeaksTheFreezersWords) {
  const Brake brake{file("freezer.state"), pidfd(), ipc::Freezer::kV1, true, {}, ""};
  EXPECT_TRUE(brake.freeze());
  EXPECT_EQ(word("freezer.state"), "FROZEN");
  EXPECT_TRUE(brake.thaw());
  EXPECT_EQ(word("freezer.state"), "THAWED");
  EXPECT_EQ(kill(process, 0), 0) << "a freeze and a thaw end nothing";
}

TEST_F(BrakeTest, OfCgroupV1ThawsWhatItKillsSoThatItDies) {
  const Brake brake{file("freezer.state"), pidfd(), ipc::Freezer::kV1, true, {}, ""};
  ASSERT_TRUE(brake.freeze());
  EXPECT_TRUE(brake.destroy());
  EXPECT_EQ(word("freezer.state"), "THAWED");
  EXPECT_EQ(ended_by(), SIGKILL);
}

TEST_F(BrakeTest, WithoutAFreezerEndsWhatItWasToFreeze) {
  const Brake brake{pidfd(), pidfd(), ipc::Freezer::kNone, true, {}, ""};
  EXPECT_FALSE(brake.thaw()) << "nothing comes back";
  EXPECT_EQ(kill(process, 0), 0);
  EXPECT_TRUE(brake.freeze());
  EXPECT_EQ(ended_by(), SIGKILL);
}

TEST_F(BrakeTest, SaysWhenTheKernelTakesNoWord) {
  net::Descriptor read_only(open("/dev/null", O_RDONLY));
  const Brake brake{std::move(read_only),
                    net::Descriptor(open("/dev/null", O_RDONLY)),
                    ipc::Freezer::kV1,
                    true,
                    {},
                    ""};
  EXPECT_FALSE(brake.freeze());
  EXPECT_FALSE(brake.thaw());
  EXPECT_FALSE(brake.destroy()) << "and /dev/null is no pidfd";
}

}  // namespace
}  // namespace gatehouse::supervisor
