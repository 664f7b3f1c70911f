// SPDX-License-Identifier: Apache-2.0
// The supervisor with real processes: it joins roles, starts again what dies, and its kills survive
// itself.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "net/descriptor.h"
#include "net/nursery.h"
#include "net/real_loop.h"
#include "supervisor/supervisor.h"

namespace gatehouse::supervisor {
namespace {

std::string fixture() {
  const char* bin = getenv("GATEHOUSE_BIN");
  return std::string(bin == nullptr ? "." : bin) + "/fixture_role";
}

class SupervisorProcess {
 public:
  // With a sandboxd that registers a sandbox of this Run when it is let go.
  explicit SupervisorProcess(std::optional<RunId> registered = std::nullopt)
      : registered_(registered) {
    std::string pattern = "/tmp/gatehouse-test-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    mkfifo((directory_ + "/go").c_str(), 0600);
    start();
  }
  void let_sandboxd_go() const {
    const net::Descriptor go(open((directory_ + "/go").c_str(), O_WRONLY | O_CLOEXEC));
  }
  [[nodiscard]] std::string brake(const char* name) const {
    std::string text;
    std::ifstream(directory_ + "/" + name) >> text;
    return text;
  }
  ~SupervisorProcess() {
    // In order it would wait for the end of a sandbox that is none.
    stop(registered_ ? SIGKILL : SIGTERM);
    std::filesystem::remove_all(directory_);
  }
  void start() {
    pid_ = fork();
    if (pid_ == 0) {
      auto loop = net::make_real_loop();
      Settings settings;
      settings.run_directory = directory_;
      settings.owner_uid = geteuid();
      settings.roles = {{"one", fixture(), {"one", notes()}, {"two"}},
                        {"two", fixture(), {"two", notes()}, {}}};
      if (registered_) {
        settings.roles.push_back(
            {"sandboxd",
             fixture(),
             {"sandboxd", notes(), "register", registered_->text(), directory_},
             {}});
      }
      std::ofstream(notes(), std::ios::app);
      auto supervisor = Supervisor::make(*loop, settings);
      _exit(supervisor && (*supervisor)->run() ? 0 : 1);
    }
  }
  void stop(int signal) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  [[nodiscard]] std::string notes() const { return directory_ + "/notes"; }
  [[nodiscard]] int count(const std::string& line) const {
    std::ifstream in(notes());
    std::string read;
    int found = 0;
    while (std::getline(in, read)) found += read == line ? 1 : 0;
    return found;
  }
  bool wait_for(const std::string& line, int times) const {
    for (int tries = 0; tries < 1000 && count(line) < times; ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return count(line) >= times;
  }
  template <class Request>
  Result<typename Request::Reply> ask(Request request) const {
    auto loop = net::make_real_loop();
    Result<typename Request::Reply> answer = failure(Error::kInternal, "did not run");
    net::Nursery nursery(*loop);
    const ipc::Permits nothing;
    nursery.spawn([](this auto, net::Loop* l, std::string path, const ipc::Permits* none,
                     Request asked, auto* out) -> net::Task<void> {
      Result<std::unique_ptr<net::Stream>> stream = failure(Error::kInternal, "");
      for (int tries = 0; tries < 200 && !stream; ++tries) {
        stream = co_await l->connect(net::Endpoint::unix_path(path), l->in(5s));
        if (!stream) co_await l->sleep_for(20ms);
      }
      if (stream) {
        ipc::Channel channel(*l, net::as_local(std::move(*stream)), "supervisor", *none);
        *out = co_await channel.call(std::move(asked), l->in(5s));
      }
      l->stop();
    }(loop.get(), directory_ + "/supervisor.sock", &nothing, std::move(request), &answer));
    loop->run();
    return answer;
  }

 private:
  std::optional<RunId> registered_;
  std::string directory_;
  pid_t pid_ = -1;
};

TEST(Supervisor, JoinsItsRolesAndStartsAgainWhatDies) {
  const SupervisorProcess house;
  ASSERT_TRUE(house.wait_for("one joined two", 1));
  ASSERT_TRUE(house.wait_for("two joined one", 1));
  auto status = house.ask(ipc::GetStatus{});
  ASSERT_TRUE(status) << status.error().message();
  ASSERT_EQ(status->roles.size(), 2u);
  kill(status->roles[0].pid, SIGKILL);
  EXPECT_TRUE(house.wait_for("one joined two", 2));
  EXPECT_TRUE(house.wait_for("two joined one", 2));
  status = house.ask(ipc::GetStatus{});
  ASSERT_TRUE(status);
  EXPECT_EQ(status->roles[0].restarts, 1u);
  EXPECT_EQ(status->roles[1].restarts, 0u);
}

TEST(Supervisor, AKillOutlivesTheSupervisorUntilItIsRevived) {
  SupervisorProcess house;
  const RunId run = RunId::fresh();
  const auto killed = house.ask(ipc::Kill{run, false, false, "it misbehaves"});
  ASSERT_TRUE(killed) << killed.error().message();
  house.stop(SIGKILL);
  house.start();
  auto status = house.ask(ipc::GetStatus{});
  ASSERT_TRUE(status);
  EXPECT_EQ(status->killed, std::vector<RunId>{run});
  ASSERT_TRUE(house.ask(ipc::Revive{run, false}));
  status = house.ask(ipc::GetStatus{});
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->killed.empty());
  EXPECT_FALSE(house.ask(ipc::Revive{run, false})) << "reviving what is not killed is an error";
}

TEST(Supervisor, AKillThatDestroysReachesASandboxThatIsRegisteredAfterIt) {
  const RunId run = RunId::fresh();
  const SupervisorProcess house(run);
  const auto killed = house.ask(ipc::Kill{run, false, true, "it misbehaves"});
  ASSERT_TRUE(killed) << killed.error().message();
  EXPECT_EQ(killed->sandboxes, 0u) << "there is none yet";
  house.let_sandboxd_go();
  ASSERT_TRUE(house.wait_for("sandboxd registered", 1));
  EXPECT_EQ(house.brake("kill"), "1");
}

TEST(Supervisor, AKillFreezesASandboxThatIsRegisteredAfterIt) {
  const RunId run = RunId::fresh();
  const SupervisorProcess house(run);
  ASSERT_TRUE(house.ask(ipc::Kill{run, false, false, "it misbehaves"}));
  house.let_sandboxd_go();
  ASSERT_TRUE(house.wait_for("sandboxd registered", 1));
  EXPECT_EQ(house.brake("freeze"), "1");
  EXPECT_EQ(house.brake("kill"), "");
}

TEST(Supervisor, WhatIsRevivedOrAnothersIsLeftAloneWhenItIsRegistered) {
  const RunId run = RunId::fresh();
  const SupervisorProcess house(run);
  ASSERT_TRUE(house.ask(ipc::Kill{run, false, true, "it misbehaves"}));
  ASSERT_TRUE(house.ask(ipc::Kill{RunId::fresh(), false, true, "another"}));
  ASSERT_TRUE(house.ask(ipc::Revive{run, false}));
  house.let_sandboxd_go();
  ASSERT_TRUE(house.wait_for("sandboxd registered", 1));
  EXPECT_EQ(house.brake("freeze"), "");
  EXPECT_EQ(house.brake("kill"), "");
}

TEST(Supervisor, RolesEndWithTheirSupervisor) {
  SupervisorProcess house;
  ASSERT_TRUE(house.wait_for("one joined two", 1));
  const auto status = house.ask(ipc::GetStatus{});
  ASSERT_TRUE(status);
  house.stop(SIGKILL);
  for (const ipc::RoleStatus& role : status->roles) {
    bool gone = false;
    for (int tries = 0; tries < 500 && !gone; ++tries) {
      gone = kill(role.pid, 0) != 0;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(gone) << role.role;
  }
}

}  // namespace
}  // namespace gatehouse::supervisor
