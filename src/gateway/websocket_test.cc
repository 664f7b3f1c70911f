// SPDX-License-Identifier: Apache-2.0
// A WebSocket between two peers, in virtual time.
#include "gateway/websocket.h"

#include <gtest/gtest.h>

#include <array>

#include "net/nursery.h"
#include "net/sim_loop.h"

namespace gatehouse::gateway {
namespace {

using namespace std::chrono_literals;
using net::Task;
using wire::WebSocketOpcode;

constexpr wire::WebSocketMask kMask = {1, 2, 3, 4};

std::string frame(WebSocketOpcode opcode, std::string_view payload, bool is_agent) {
  std::string out;
  append_websocket_frame(out, opcode, true, payload,
                         is_agent ? std::optional(kMask) : std::nullopt);
  return out;
}

// A peer that takes down what it is told, answers pings while it is awake, and says what it is to
// say.
struct Peer {
  Peer(std::unique_ptr<net::Stream> from, bool agent)
      : stream(std::move(from)),
        is_agent(agent),
        parser(agent ? wire::WebSocketPeer::kServer : wire::WebSocketPeer::kClient) {}

  Task<void> say(WebSocketOpcode opcode, std::string payload) {
    (void)co_await stream->write(frame(opcode, payload, is_agent), Deadline::never());
  }
  Task<void> close(std::uint16_t code) {
    std::string out;
    wire::append_websocket_close(out, code, "", is_agent ? std::optional(kMask) : std::nullopt);
    (void)co_await stream->write(out, Deadline::never());
  }
  Task<void> listen() {
    std::array<char, 4096> buffer{};
    while (true) {
      const auto read = co_await stream->read(buffer, Deadline::never());
      if (!read || *read == 0) break;
      std::string_view rest(buffer.data(), *read);
      while (!rest.empty()) {
        const auto progress = parser.feed(rest);
        if (!progress) {
          heard.push_back("broken: " + progress.error().message());
          co_return;
        }
        rest.remove_prefix(progress->consumed);
        if (!progress->event) break;
        co_await hear(*progress->event);
      }
    }
    heard.emplace_back("end");
    (void)co_await stream->finish(Deadline::never());
  }
  Task<void> hear(wire::WebSocketEvent event) {
    if (event.opcode == WebSocketOpcode::kPing) {
      ++pings;
      if (is_awake) co_await say(WebSocketOpcode::kPong, std::string(event.payload));
    } else if (event.opcode == WebSocketOpcode::kClose) {
      heard.push_back("close " + std::to_string(event.code));
      if (answers_close) co_await close(event.code);
    } else {
      heard.push_back((event.opcode == WebSocketOpcode::kPong ? "pong " : "")
                      + std::string(event.payload));
    }
  }

  std::unique_ptr<net::Stream> stream;
  bool is_agent;
  wire::WebSocketParser parser;
  bool is_awake = true;
  bool answers_close = true;
  int pings = 0;
  std::vector<std::string> heard;
};

using Heard = std::vector<std::string>;

class WebSocketTest : public testing::Test {
 protected:
  WebSocketTest() : others(*loop) {
    auto [agent_end, client_end] = loop->make_pair();
    auto [upstream_end, server_end] = loop->make_pair();
    agent.emplace(std::move(agent_end), true);
    upstream.emplace(std::move(upstream_end), false);
    client = std::make_unique<Client>(std::move(client_end));
    server = std::make_unique<Client>(std::move(server_end));
  }
  WebSocketParts parts() {
    return {
        .loop = *loop,
        .intent = intent,
        .agent = {client->stream.get(), &client->inbox},
        .upstream = {server->stream.get(), &server->inbox},
        .forms = forms,
        .replacement = "[removed]",
        .idle_most = 80s,
        .until = until,
        .still_alive = [this]() -> Result<void> {
          if (is_killed) return failure(Error::kKilled, "killed");
          return {};
        },
        .look_for_placeholders = [this](std::string_view part) -> Result<void> {
          looked_at += part;
          if (looked_at.contains("ghph_")) return failure(Error::kDenied, "a placeholder");
          return {};
        },
        .is_killed = [this] { return is_killed; },
        .ended_in_order = [this] { ended_in_order = true; },
        .room = room,
        .room_of_run = room_of_run,
        .reader = reader.get(),
    };
  }
  // How it ends, and after how long.
  std::pair<std::string, Nanos> relayed() {
    others.spawn(agent->listen());
    others.spawn(upstream->listen());
    const Instant began = loop->now();
    const auto ended =
        loop->run_until_done([](this auto, WebSocketTest* self) -> Task<Result<void>> {
          WebSocket socket(self->parts());
          const Result<void> done = co_await socket.run();
          self->agent_left = socket.agent_left();
          co_return done;
        }(this));
    const Nanos took = loop->now() - began;
    server->stream.reset();
    client->stream.reset();
    loop->run_for(1min);  // what is under way arrives
    if (!ended) return {"it hangs", took};
    return {*ended ? "done" : std::string(row_of(ended->error().code()).label), took};
  }
  Task<void> after(Nanos when, Task<void> what) {
    co_await loop->sleep_for(when);
    co_await std::move(what);
  }
  std::string tag(std::string_view key) {
    for (const auto& [name, value] : intent.outcome.tags) {
      if (name == key) return value;
    }
    return "";
  }

  std::unique_ptr<net::SimLoop> loop = net::make_sim_loop(7);
  Recorder recorder{*loop};
  Intent intent{recorder, {}, {}, loop->now(), *loop};
  std::shared_ptr<wire::RedactionForms> forms;
  std::optional<Peer> agent;
  std::optional<Peer> upstream;
  std::unique_ptr<Client> client;
  std::unique_ptr<Client> server;
  Room room{1'000'000};
  Room room_of_run{100'000};
  std::unique_ptr<WebSocketJudge> reader;
  Instant until = Deadline::never().at();
  bool is_killed = false;
  bool ended_in_order = false;
  bool agent_left = false;
  std::string looked_at;
  net::Nursery others;
};

TEST_F(WebSocketTest, EndsWhenBothHaveClosedIt) {
  others.spawn(after(1s, agent->say(WebSocketOpcode::kText, "hello")));
  others.spawn(after(2s, upstream->say(WebSocketOpcode::kText, "there")));
  others.spawn(after(3s, agent->close(1000)));
  const auto [how, took] = relayed();
  EXPECT_EQ(how, "done");
  EXPECT_LT(took, 5s);
  EXPECT_EQ(upstream->heard, (Heard{"hello", "close 1000", "end"}));
  EXPECT_EQ(agent->heard, (Heard{"there", "close 1000", "end"}));
  EXPECT_TRUE(ended_in_order);
  EXPECT_EQ(tag("messages.agent"), "1");
  EXPECT_EQ(tag("close.upstream"), "1000");
}

TEST_F(WebSocketTest, PeersThatAnswerPingsMayBeSilentForLong) {
  others.spawn(after(50min, upstream->close(1001)));
  EXPECT_EQ(relayed().first, "done");
  EXPECT_GE(agent->pings, 30);
  EXPECT_GE(upstream->pings, 30);
  EXPECT_EQ(agent->heard, (Heard{"close 1001", "end"})) << "no pong comes that was not asked for";
}

TEST_F(WebSocketTest, AHalfOpenUpstreamIsFoundOut) {
  upstream->is_awake = false;
  others.spawn(after(10min, agent->say(WebSocketOpcode::kText, "unheard of")));
  const auto [how, took] = relayed();
  EXPECT_EQ(how, "timeout");
  EXPECT_GE(took, 80s);
  EXPECT_LT(took, 100s);
  EXPECT_EQ(upstream->pings, 1) << "it is asked once";
  EXPECT_EQ(agent->heard, (Heard{"close 1011", "end"}));
  EXPECT_FALSE(agent_left);
}

TEST_F(WebSocketTest, AHalfOpenAgentIsFoundOut) {
  agent->is_awake = false;
  agent->answers_close = false;
  EXPECT_EQ(relayed().first, "timeout");
  EXPECT_TRUE(agent_left);
  EXPECT_EQ(upstream->heard, (Heard{"close 1001", "end"}));
}

TEST_F(WebSocketTest, APeerThatDoesNotAnswerACloseIsNotWaitedForLong) {
  upstream->answers_close = false;
  others.spawn(after(1s, agent->close(1000)));
  const auto [how, took] = relayed();
  EXPECT_EQ(how, "done");
  EXPECT_GE(took, 10s);
  EXPECT_LT(took, 20s);
  EXPECT_EQ(agent->heard, (Heard{"close 1000", "end"}));
}

TEST_F(WebSocketTest, WhatComesBetweenTheTwoClosesStillPasses) {
  upstream->answers_close = false;
  others.spawn(after(1s, agent->close(1000)));
  others.spawn(after(3s, upstream->say(WebSocketOpcode::kText, "one more")));
  others.spawn(after(4s, upstream->close(1000)));
  EXPECT_EQ(relayed().first, "done");
  EXPECT_EQ(agent->heard, (Heard{"one more", "close 1000", "end"}));
}

TEST_F(WebSocketTest, NothingPassesAfterAKill) {
  others.spawn(after(1s, agent->say(WebSocketOpcode::kText, "before")));
  others.spawn(after(2s, [](this auto, bool* killed) -> Task<void> {
    *killed = true;
    co_return;
  }(&is_killed)));
  others.spawn(after(3s, agent->say(WebSocketOpcode::kText, "after")));
  EXPECT_EQ(relayed().first, "killed");
  EXPECT_EQ(upstream->heard, (Heard{"before", "close 1001", "end"}));
  EXPECT_EQ(agent->heard, (Heard{"close 1008", "end"}));
}

TEST_F(WebSocketTest, ATaskThatIsCancelledTellsBothAtOnce) {
  others.spawn(agent->listen());
  others.spawn(upstream->listen());
  {
    net::Nursery connection(*loop);
    connection.spawn([](this auto, WebSocketParts with) -> Task<void> {
      WebSocket socket(std::move(with));
      (void)co_await socket.run();
    }(parts()));
    loop->run_for(1s);
    is_killed = true;
  }
  EXPECT_TRUE(ended_in_order);
  server->stream.reset();
  client->stream.reset();
  loop->run_for(1min);
  EXPECT_EQ(agent->heard, (Heard{"close 1008", "end"}));
  EXPECT_EQ(upstream->heard, (Heard{"close 1001", "end"}));
}

TEST_F(WebSocketTest, LastsNoLongerThanItsServiceLets) {
  until = loop->now() + 5min;
  const auto [how, took] = relayed();
  EXPECT_EQ(how, "timeout");
  EXPECT_GE(took, 5min);
  EXPECT_LT(took, 5min + 5s);
  EXPECT_EQ(agent->heard, (Heard{"close 1008", "end"}));
}

TEST_F(WebSocketTest, AConnectionDoesNotEndBeforeItsPeerHasReadAndAnsweredTheClose) {
  until = loop->now() + 5min;
  agent->answers_close = false;
  others.spawn(after(5min + 1s, agent->close(1008)));
  const Nanos took = relayed().second;
  EXPECT_GE(took, 5min + 1s);
  EXPECT_LT(took, 5min + 2s);
  EXPECT_EQ(agent->heard, (Heard{"close 1008", "end"}));
}

TEST_F(WebSocketTest, APlaceholderDoesNotPass) {
  others.spawn(after(1s, agent->say(WebSocketOpcode::kText, "fine")));
  others.spawn(after(2s, agent->say(WebSocketOpcode::kPing, "ghph_x")));
  EXPECT_EQ(relayed().first, "denied");
  EXPECT_EQ(upstream->heard, (Heard{"fine", "close 1001", "end"}));
  EXPECT_EQ(agent->heard, (Heard{"close 1008", "end"}));
}

TEST_F(WebSocketTest, ACredentialIsRemovedWhereItStandsInOneMessage) {
  forms = std::make_shared<wire::RedactionForms>();
  ASSERT_TRUE(forms->add(Secret("sk-secret")));
  others.spawn(after(1s, upstream->say(WebSocketOpcode::kText, "it is sk-secret, sk-secre")));
  others.spawn(after(2s, upstream->say(WebSocketOpcode::kText, "t")));
  others.spawn(after(3s, upstream->say(WebSocketOpcode::kPong, "sk-secret")));
  others.spawn(after(4s, upstream->close(1000)));
  EXPECT_EQ(relayed().first, "done");
  // A message is not held back for the next one's sake.
  EXPECT_EQ(agent->heard,
            (Heard{"it is [removed], sk-secre", "t", "pong [removed]", "close 1000", "end"}));
  EXPECT_EQ(tag("credential_echoes"), "1");
}

// Lets pass what says "please", and answers the rest.
class Polite final : public WebSocketJudge {
 public:
  Task<Result<Verdict>> from_agent(std::string_view message, bool) override {
    if (message.contains("please")) co_return Verdict{.passes = true, .is_on_record = true};
    co_return Verdict{.passes = false, .reply = "say please"};
  }
  Task<Result<bool>> from_upstream(std::string_view message, bool) override {
    told.emplace_back(message);
    co_return true;
  }
  std::vector<std::string> told;
};

TEST_F(WebSocketTest, AReaderTakesMessagesWholeAndAnswersThoseThatDoNotPass) {
  reader = std::make_unique<Polite>();
  others.spawn(after(1s, [](this auto, net::Stream* stream) -> Task<void> {
    std::string out;
    wire::append_websocket_frame(out, WebSocketOpcode::kText, false, "ple", kMask);
    wire::append_websocket_frame(out, WebSocketOpcode::kContinuation, true, "ase", kMask);
    (void)co_await stream->write(out, Deadline::never());
  }(agent->stream.get())));
  others.spawn(after(2s, agent->say(WebSocketOpcode::kText, "now!")));
  others.spawn(after(3s, upstream->say(WebSocketOpcode::kText, "hello")));
  others.spawn(after(4s, agent->close(1000)));
  EXPECT_EQ(relayed().first, "done");
  EXPECT_EQ(upstream->heard, (Heard{"please", "close 1000", "end"}));
  EXPECT_EQ(agent->heard, (Heard{"say please", "hello", "close 1000", "end"}));
  EXPECT_EQ(static_cast<Polite&>(*reader).told, std::vector<std::string>{"hello"});
  EXPECT_EQ(room.held(), 0u);
}

TEST_F(WebSocketTest, WhatIsReadWholeHasRoomThatIsBounded) {
  reader = std::make_unique<Polite>();
  others.spawn(after(1s, agent->say(WebSocketOpcode::kText, "please" + std::string(90'000, 'x'))));
  others.spawn(after(2s, agent->say(WebSocketOpcode::kText, "please" + std::string(110'000, 'x'))));
  EXPECT_EQ(relayed().first, row_of(Error::kExhausted).label);
  EXPECT_EQ(agent->heard, (Heard{"close 1011", "end"}));
  EXPECT_EQ(room.held(), 0u);
}

TEST_F(WebSocketTest, AgentsThatGoWithoutACloseAreTakenDown) {
  others.spawn(after(1s, [](this auto, net::Stream* stream) -> Task<void> {
    (void)co_await stream->finish(Deadline::never());
  }(agent->stream.get())));
  EXPECT_EQ(relayed().first, "closed");
  EXPECT_TRUE(agent_left);
  EXPECT_EQ(upstream->heard, (Heard{"close 1001", "end"}));
}

}  // namespace
}  // namespace gatehouse::gateway
