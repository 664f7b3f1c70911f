// SPDX-License-Identifier: Apache-2.0
// The world around the simulated house: a model, a calendar, an MCP server and an authorization
// server that behave and misbehave; people; agents that work, leave and try what they must not; a
// supervisor's bad days. And the oracle that looks at all of it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sim/house.h"
#include "sim/laptop.h"
#include "wire/http1.h"

namespace gatehouse::sim {

struct Plan {
  bool crashes = true;  // roles die, power fails, disks fail
  bool kills = true;    // Runs are killed, all is killed and revived
  int runs = 3;
  int outside = 1;  // Runs without a sandbox, beside these
  int acts = 8;     // requests a Run
};

// A request as an upstream got it.
struct Asked {
  wire::RequestHead head;
  std::string body;
  std::string span;           // of the gateway's traceparent
  std::uint64_t durable = 0;  // Entries on disk when its head had come
  [[nodiscard]] std::string_view header(std::string_view name) const {
    return head.headers.find(name).value_or("");
  }
};

class World {
 public:
  World(std::uint64_t seed, Plan plan);
  ~World();

  // The whole story, with its checks after each step and at its end.
  void live();

  // What must never be and was, in words; empty when all is well.
  [[nodiscard]] const std::vector<std::string>& broken() const { return broken_; }
  // How often something rare came about, by name.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& reached() const { return reached_; }
  [[nodiscard]] std::uint64_t digest() const { return loop_->digest(); }

  // For stories of one Exchange: all is there and connected; a Run to act in.
  void begin();
  struct Agent {
    RunId run;
    std::string model_key;  // placeholders
    std::string calendar_token;
    std::shared_ptr<Laptop> laptop;  // null for one in a sandbox
    bool is_thief = false;           // who has another's run token
  };
  [[nodiscard]] std::optional<Agent> start_run(const std::string& user);
  // One without a sandbox.
  [[nodiscard]] std::optional<Agent> attach(const std::string& user);
  enum class Act { kModel, kModelStream, kRead, kWrite, kTool, kForbidden, kMisplaced };
  // One request and its answer. Returns the status; nothing where there was no whole answer.
  [[nodiscard]] net::Task<std::optional<int>> act(Agent agent, Act what);
  // A connection to one of the gateways, as that agent makes it.
  [[nodiscard]] net::Task<Result<std::unique_ptr<net::Stream>>> reach_gateway(Agent agent);
  // Everything ends in order and is looked at.
  void end();
  [[nodiscard]] House& house() { return *house_; }
  [[nodiscard]] net::SimLoop& loop() { return *loop_; }

 private:
  void expect(bool holds, std::string_view otherwise);
  void reach(const std::string& name) { ++reached_[name]; }
  [[nodiscard]] bool chance(std::uint64_t of) { return random_.below(of) == 0; }
  net::Task<void> serve(net::Listener* listener, std::uint16_t port);
  net::Task<void> serve_one(std::unique_ptr<net::Stream> stream, std::uint16_t port);
  net::Task<bool> answer(net::Stream* stream, std::uint16_t port, Asked asked);
  net::Task<bool> answer_model(net::Stream* stream, Asked asked);
  std::string answer_calendar(const Asked& asked);
  std::string answer_tools(const Asked& asked);
  std::string answer_issuer(const Asked& asked);
  net::Task<bool> say(net::Stream* stream, std::string text);

  net::Task<Result<void>> connect_people();
  net::Task<Result<void>> connect_user(std::string user);
  net::Task<std::optional<Agent>> begin_run(std::string user);
  net::Task<void> work(std::string user, int acts);
  Agent agent_of(const RunId& run, const std::vector<std::string>& environment);
  Act any_act();
  // Of agents outside of sandboxes (outside.cc).
  struct Renewing {  // of one forwarder
    Instant asleep_until;
    bool is_over = false;  // control says so
  };
  net::Task<std::optional<Agent>> begin_outside(std::string user);
  net::Task<void> work_outside(std::string user, int acts);
  net::Task<void> keep_token(Laptop* laptop, Renewing* renewing);
  net::Task<void> act_outside(Agent agent, Renewing* renewing);
  net::Task<void> act_after_the_end(Agent agent);
  void look_at_outside(const Asked& asked, std::uint64_t act);
  [[nodiscard]] std::string why_not(const Agent& agent) const;
  std::string next_turn(const RunId& run, std::uint64_t act);
  void look_at_request(audit::Log& log, const audit::Entry& entry);
  void look_for_lives_outside();
  net::Task<std::optional<int>> read_answer(net::Stream* stream, bool is_model);
  net::Task<void> bad_days();
  void one_bad_day();
  void recover();
  void works_again(const std::optional<Agent>& agent);
  void look_at_log();
  void look_for_canaries(std::string_view where, std::string_view bytes, bool is_agent);

  SeededRandom random_;
  Plan plan_;
  std::unique_ptr<net::SimLoop> loop_;
  std::unique_ptr<House> house_;
  std::vector<std::string> broken_;
  std::map<std::string, std::uint64_t> reached_;
  std::set<std::string> asked_;       // spans that any upstream has seen
  std::set<std::string> effects_;     // of them, those that changed something
  std::set<std::string> answered_;    // of model calls, those whose answer an agent saw
  std::set<std::string> authorized_;  // of them, those that carried a credential that holds
  std::uint64_t next_token_ = 1;
  std::map<std::string, Instant> access_;  // live access tokens and their ends
  std::map<std::string, std::pair<std::string, std::uint64_t>> refresh_;  // whose, the how-manieth
  std::uint64_t next_act_ = 1;
  // What each Run's conversation has said, which the next request says again ...
  std::map<RunId, std::string> talks_;
  std::map<std::string, std::string> said_;  // ... and what came to the model, by span
  // Acts of Runs outside that no upstream may see, and why; `jumps` of the clock there had been.
  struct Forbidden {
    std::string why;
    std::uint64_t jumps = 0;
  };
  std::map<std::uint64_t, Forbidden> forbidden_;
  std::set<std::string> outside_;  // the traces of Runs outside
  std::map<RunId, Instant> over_;  // of these, which are over, since when
  std::uint64_t clock_jumps_ = 0;
  Instant last_bad_day_;
  std::set<RunId> live_runs_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  net::Nursery servers_;
  net::Nursery agents_;
  net::Nursery days_;
};

}  // namespace gatehouse::sim
