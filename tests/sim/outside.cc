// SPDX-License-Identifier: Apache-2.0
// Agents outside of sandboxes in the world around the simulated house: their forwarders renew, fall
// asleep and come too late; somebody finds a token; their Runs are ended and killed. And what the
// oracle says of them.
#include <fmt/format.h>

#include <algorithm>

#include "sim/world.h"
#include "wire/trace.h"

namespace gatehouse::sim {
namespace {

using net::Task;

constexpr Nanos kHeals = 30s;  // after so long without a bad day everybody knows what is

}  // namespace

Task<std::optional<World::Agent>> World::begin_outside(std::string user) {
  auto laptop = std::make_shared<Laptop>(*loop_, house_->admin_path(), house_->attach_path());
  const auto begun = co_await laptop->begin(user);
  if (!begun) co_return std::nullopt;
  outside_.insert(laptop->trace().text());
  live_runs_.insert(laptop->run());
  Agent agent = agent_of(laptop->run(), laptop->environment());
  agent.laptop = std::move(laptop);
  co_return agent;
}

std::optional<World::Agent> World::attach(const std::string& user) {
  return loop_->run_until_done(begin_outside(user)).value_or(std::nullopt);
}

// What a Run in a sandbox has as its Door a laptop has as its forwarder.
Task<Result<std::unique_ptr<net::Stream>>> World::reach_gateway(Agent agent) {
  if (agent.laptop) co_return co_await agent.laptop->connect(agent.is_thief);
  const SimDoor* door = house_->door(agent.run);
  if (door == nullptr) co_return failure(Error::kNotFound, "its sandbox is gone");
  const std::string path = door->path;
  co_return co_await loop_->connect(net::Endpoint::unix_path(path), loop_->in(5s));
}

// Why no upstream may ever see what it asks now; "" where nothing is known against it. That a Run
// is over every gateway knows in a healthy house when it is acknowledged, and soon after in any.
std::string World::why_not(const Agent& agent) const {
  if (agent.is_thief) return "it came with another's run token";
  if (agent.laptop->has_expired()) return "its run token had expired";
  const auto over = over_.find(agent.run);
  if (over == over_.end()) return house_->is_killed_for_good(agent.run) ? "it was killed" : "";
  const bool has_healed = loop_->now() - std::max(over->second, last_bad_day_) > kHeals;
  return house_->crashes == 0 || has_healed ? "its run was over" : "";
}

void World::look_at_outside(const Asked& asked, std::uint64_t act) {
  expect(asked.header("proxy-authorization").empty(), "a run token went upstream");
  const auto parent = wire::TraceParent::parse(asked.header("traceparent"));
  if (parent && outside_.contains(parent->trace.text())) reach("an act of a run outside came");
  const auto found = forbidden_.find(act);
  if (found == forbidden_.end() || found->second.jumps != clock_jumps_) return;
  expect(false, fmt::format("act {} came upstream though {}", act, found->second.why));
}

// Another token at half of each one's life, and again after a failure, until there is no Run.
Task<void> World::keep_token(Laptop* laptop, Renewing* renewing) {
  Nanos pause = laptop->life() / 2;
  while (true) {
    co_await loop_->sleep_for(pause);
    if (loop_->now() < renewing->asleep_until) {
      pause = renewing->asleep_until - loop_->now();
      continue;
    }
    const auto renewed = co_await laptop->renew();
    pause = renewed ? laptop->life() / 2 : Nanos(1s);
    if (renewed) reach("a run token was renewed");
    if (!renewed && renewed.error() == Error::kKilled) reach("a killed run got no other token");
    if (renewed || (renewed.error() != Error::kNotFound && renewed.error() != Error::kDenied)) {
      continue;
    }
    reach("a run was over for want of its forwarder");
    renewing->is_over = true;
    over_.try_emplace(laptop->run(), loop_->now());
    co_return;
  }
}

Task<void> World::act_outside(Agent agent, Renewing* renewing) {
  if (chance(6)) {
    const Nanos sleep = std::chrono::milliseconds(8'000 + random_.below(40'000));
    renewing->asleep_until = loop_->now() + sleep;
    co_await loop_->sleep_for(sleep - 1s);
  }
  agent.is_thief = chance(8);
  const bool was_killed = house_->is_killed(agent.run);
  const std::string why = why_not(agent);
  const std::uint64_t jumps = clock_jumps_;
  const auto status = co_await act(agent, any_act());
  if (jumps != clock_jumps_) co_return;
  if (was_killed && house_->is_killed(agent.run)) {
    expect(!status || *status >= 400, "a killed run got an answer");
  }
  if (!why.empty() && status) {
    expect(*status >= 400, fmt::format("{}, and it was answered with {}", why, *status));
    reach("refused, for " + why);
  }
  if (status && *status == 200) reach("an act outside was done");
}

// With the token that it still has, and with and without a credential: the vault is not the only
// one that knows of the end.
Task<void> World::act_after_the_end(Agent agent) {
  for (const Act what : {Act::kTool, Act::kWrite}) {
    const std::string why = why_not(agent);
    const auto status = co_await act(agent, what);
    if (!why.empty() && status) reach("refused, for " + why);
  }
}

Task<void> World::work_outside(std::string user, int acts) {
  std::optional<Agent> agent;
  for (; !agent && acts > 0; --acts) {
    agent = co_await begin_outside(user);
    if (agent) break;
    reach("a run outside was refused");
    co_await loop_->sleep_for(std::chrono::milliseconds(200 + random_.below(2000)));
  }
  if (!agent) co_return;
  Renewing renewing;
  net::Nursery forwarder(*loop_);
  forwarder.spawn(keep_token(agent->laptop.get(), &renewing));
  for (int i = 0; i < acts && !renewing.is_over; ++i) {
    co_await loop_->sleep_for(std::chrono::milliseconds(random_.below(6000)));
    co_await act_outside(*agent, &renewing);
  }
  if (chance(4)) co_return;  // it is switched off
  if (co_await agent->laptop->end(0)) over_.try_emplace(agent->run, loop_->now());
  forwarder.cancel_all();
  co_await act_after_the_end(*agent);
}

// No forwarder has been there for many lives of a token.
void World::look_for_lives_outside() {
  if (outside_.empty()) return;
  Laptop laptop(*loop_, house_->admin_path(), house_->attach_path());
  const auto live = loop_->run_until_done(laptop.live());
  expect(live && *live, "control does not say which runs there are");
  if (live && *live) expect((*live)->empty(), "a run outside lives on without its forwarder");
}

}  // namespace gatehouse::sim
