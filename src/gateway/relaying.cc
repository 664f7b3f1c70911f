// SPDX-License-Identifier: Apache-2.0
#include "gateway/relaying.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/find.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr Nanos kPatience = 20ms;  // an answer that takes longer is worth a watch on the client

}  // namespace

Relaying::Relaying(Leased of)
    : leased(std::move(of)),
      guard(gate(), leased.lent().lease),
      reading(intent(), *leased),
      watch(gate().loop) {}

Deadline Relaying::within(Nanos most) const {
  return Deadline(std::min(gate().loop.in(most).at(), ends));
}

Failure Relaying::late(const Error& error, std::string_view what, std::uint32_t most_s) const {
  const std::string& host = leased->aim.destination.host;
  if (error == Error::kClosed) {
    return failure(Error::kUpstream, host + " broke the connection off: " + error.message());
  }
  if (error != Error::kTimeout) return Failure(error);
  if (gate().loop.now() >= ends) {
    return failure(Error::kTimeout, fmt::format("the exchange with {} took more than {} s in all",
                                                host, timeouts().total_s));
  }
  return failure(Error::kTimeout, fmt::format("{} {} within {} s", host, what, most_s));
}

Result<void> Relaying::still_alive() {
  const Gate& at = gate();
  const std::uint64_t generation = at.kills ? at.kills->generation() : 0;
  if (generation == seen_generation_) return {};
  seen_generation_ = generation;
  if (!at.is_killed(leased->door->run.run)) return {};
  intent().outcome.state = "cut";
  return failure(Error::kKilled, "the run was killed");
}

// No coroutine: its frame would stay for as long as the upstream is silent.
Task<Result<bool>> Relaying::more_from_upstream(Deadline deadline) {
  // Also of an answer that never makes us wait, the time is over then.
  const bool may_wait = gate().loop.now() < ends && (is_watching_ || is_drained());
  return may_wait ? upstream->answer().more_after_silence(deadline) : more_with_patience(deadline);
}

Task<Result<bool>> Relaying::more_with_patience(Deadline deadline) {
  net::Loop& loop = gate().loop;
  if (loop.now() >= ends) co_return failure(Error::kTimeout, "its time is over");
  const Deadline soon(std::min(loop.in(kPatience).at(), deadline.at()));
  Result<bool> more = co_await upstream->answer().more(soon);
  if (more || more.error() != Error::kTimeout || loop.now() >= deadline.at()) co_return more;
  is_watching_ = true;
  intent().stow();
  caller().watch(watch);
  co_return true;  // who looks again finds nothing, and waits
}

Result<void> PlaceholderSearch::look_through(std::string_view piece) {
  const std::vector<ipc::Placeholder>& placeholders = leased_->door->placeholders;
  if (placeholders.empty()) return {};
  tail_ += piece;
  std::size_t longest = 0;
  for (const ipc::Placeholder& placeholder : placeholders) {
    longest = std::max(longest, placeholder.text.size());
    if (is_in(tail_, placeholder.text)) return misuse(leased_, leased_.intent(), placeholder);
  }
  if (tail_.size() >= longest) tail_.erase(0, tail_.size() - longest + 1);
  return {};
}

}  // namespace gatehouse::gateway
