// SPDX-License-Identifier: Apache-2.0
// A tunnel's bytes, in virtual time.
#include "gateway/pipe.h"

#include <gtest/gtest.h>

#include <array>

#include "net/nursery.h"
#include "net/sim_loop.h"

namespace gatehouse::gateway {
namespace {

using namespace std::chrono_literals;
using net::Task;

class PipeTest : public testing::Test {
 protected:
  PipeTest() : others(*loop) {
    auto [agent_end, client_end] = loop->make_pair();
    auto [upstream_end, server_end] = loop->make_pair();
    agent = std::move(agent_end);
    client = std::make_unique<Client>(std::move(client_end));
    upstream = std::move(upstream_end);
    server = std::move(server_end);
  }
  // One byte at each of these times, then silence; or the end.
  Task<void> speak(net::Stream* by, std::vector<Nanos> at, bool ends) {
    const Instant began = loop->now();
    for (const Nanos when : at) {
      co_await loop->sleep_for(began + when - loop->now());
      (void)co_await by->write("x", Deadline::never());
    }
    if (ends) (void)co_await by->finish(Deadline::never());
  }
  Task<void> listen(net::Stream* by, std::size_t* got) {
    std::array<char, 64> buffer{};
    while (true) {
      const auto read = co_await by->read(buffer, Deadline::never());
      if (!read || *read == 0) co_return;
      *got += *read;
    }
  }
  // How it ended and how long that took.
  std::pair<std::string, Nanos> piped() {
    others.spawn(listen(agent.get(), &agent_got));
    others.spawn(listen(server.get(), &server_got));
    const Instant began = loop->now();
    const auto ended = loop->run_until_done(pipe.run(*client, *upstream));
    const Nanos took = loop->now() - began;
    loop->run_for(1min);  // what is under way arrives
    if (!ended) return {"it hangs", took};
    return {*ended ? "done" : std::string(row_of(ended->error().code()).label), took};
  }

  std::unique_ptr<net::SimLoop> loop = net::make_sim_loop(7);
  std::unique_ptr<net::Stream> agent;
  std::unique_ptr<Client> client;
  std::unique_ptr<net::Stream> upstream;
  std::unique_ptr<net::Stream> server;
  std::size_t agent_got = 0;
  std::size_t server_got = 0;
  bool is_killed = false;
  Pipe pipe{*loop, [this] { return is_killed; }};
  net::Nursery others;
};

TEST_F(PipeTest, AStreamOneWayKeepsTheSilentWayOpen) {
  others.spawn(speak(server.get(), {9min, 18min, 27min, 36min, 45min}, true));
  const auto [how, took] = piped();
  EXPECT_EQ(how, "done");
  EXPECT_GE(took, 45min);
  EXPECT_EQ(agent_got, 5u);
  EXPECT_EQ(pipe.down(), 5u);
}

TEST_F(PipeTest, AnUploadKeepsTheSilentAnswerOpen) {
  others.spawn(speak(agent.get(), {9min, 18min, 27min}, false));
  others.spawn(speak(server.get(), {36min}, true));
  const auto [how, took] = piped();
  EXPECT_EQ(how, "done");
  EXPECT_GE(took, 36min);
  EXPECT_EQ(server_got, 3u);
  EXPECT_EQ(agent_got, 1u);
}

TEST_F(PipeTest, SilenceBothWaysEndsItAfterTheLastByteOfEither) {
  others.spawn(speak(server.get(), {4min}, false));
  others.spawn(speak(agent.get(), {11min}, false));
  const auto [how, took] = piped();
  EXPECT_EQ(how, "timeout");
  EXPECT_GE(took, 11min + Pipe::kIdleMost);
  EXPECT_LT(took, 12min + Pipe::kIdleMost);
}

TEST_F(PipeTest, AClientThatEndsItsSideStillHearsTheAnswer) {
  others.spawn(speak(agent.get(), {1min}, true));
  others.spawn(speak(server.get(), {2min, 3min}, true));
  EXPECT_EQ(piped().first, "done");
  EXPECT_EQ(server_got, 1u);
  EXPECT_EQ(agent_got, 2u);
}

TEST_F(PipeTest, AClientThatBreaksOffEndsItAll) {
  others.spawn([](this auto, net::SimLoop* l, net::Stream* broken) -> Task<void> {
    co_await l->sleep_for(1min);
    l->break_stream(*broken);
  }(loop.get(), client->stream.get()));
  const auto [how, took] = piped();
  EXPECT_EQ(how, "closed");
  EXPECT_LT(took, 2min) << "the server says nothing, and nobody would hear it";
}

TEST_F(PipeTest, NothingPassesAfterAKill) {
  others.spawn(speak(server.get(), {1min, 3min}, false));
  others.spawn([](this auto, net::SimLoop* l, bool* killed) -> Task<void> {
    co_await l->sleep_for(2min);
    *killed = true;
  }(loop.get(), &is_killed));
  EXPECT_EQ(piped().first, "killed");
  EXPECT_EQ(agent_got, 1u);
}

}  // namespace
}  // namespace gatehouse::gateway
