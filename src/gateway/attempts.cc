// SPDX-License-Identifier: Apache-2.0
#include "gateway/attempts.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gatehouse::gateway {
namespace {

constexpr std::int64_t kOneRetry = 100;  // hundredths

// https://prng.di.unimi.it/splitmix64.c: every bit of the input moves every bit of the output.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31U);
}

// In (0, 1].
double fraction(std::uint64_t bits) { return static_cast<double>((bits >> 11U) + 1) * 0x1p-53; }

}  // namespace

std::uint64_t seed_of(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return mixed(hash);
}

AttemptEnd end_of_status(int status) {
  if (status == 429) return AttemptEnd::kBusy;
  const bool is_failing = status == 502 || status == 503 || status == 504 || status == 529;
  return is_failing ? AttemptEnd::kFailing : AttemptEnd::kAnswered;
}

AttemptEnd end_of_error(Error::Code code, bool is_sent) {
  switch (code) {
    case Error::kTimeout:
    case Error::kUnreachable:
    case Error::kUpstream:
    case Error::kClosed:
      return is_sent ? AttemptEnd::kNoAnswer : AttemptEnd::kNotReached;
    case Error::kDenied:  // an address that may not be dialled; later, a placeholder's misuse
      return is_sent ? AttemptEnd::kStopped : AttemptEnd::kNotReached;
    default:
      return AttemptEnd::kStopped;
  }
}

bool may_go_again(AttemptEnd end, bool has_effects) {
  switch (end) {
    case AttemptEnd::kNotReached:
      return true;
    case AttemptEnd::kBusy:
    case AttemptEnd::kFailing:
    case AttemptEnd::kNoAnswer:
      return !has_effects;
    case AttemptEnd::kAnswered:
    case AttemptEnd::kStopped:
      break;
  }
  return false;
}

void AttemptMemory::count_request(const std::string& route, std::uint32_t percent) {
  const auto [at, is_new] = saved_.try_emplace(route, kSavedMost * kOneRetry);
  at->second = std::min<std::int64_t>(at->second + percent, kSavedMost * kOneRetry);
}

bool AttemptMemory::take_retry(const std::string& route) {
  const auto found = saved_.find(route);
  if (found == saved_.end() || found->second < kOneRetry) return false;
  found->second -= kOneRetry;
  return true;
}

std::optional<AttemptMemory::Rest> AttemptMemory::rest_of(const std::string& target,
                                                          Instant now) const {
  const auto found = targets_.find(target);
  if (found == targets_.end()) return std::nullopt;
  if (found->second.asked_until > now) return Rest{found->second.asked_until, true};
  if (found->second.until > now) return Rest{found->second.until, false};
  return std::nullopt;
}

bool AttemptMemory::note(const std::string& target, AttemptEnd end, std::optional<Nanos> asked,
                         Instant now) {
  if (end == AttemptEnd::kStopped) return false;
  if (end == AttemptEnd::kAnswered) {
    targets_.erase(target);
    return false;
  }
  Standing& standing = targets_[target];
  if (asked) standing.asked_until = std::max(standing.asked_until, now + *asked);
  if (++standing.failures < kFailuresMost) return false;
  // After its rest one failure is enough to make it rest again, for longer.
  standing.failures = kFailuresMost - 1;
  Nanos rest = kRestLeast;
  for (std::uint32_t i = 0; i < standing.rests && rest < kRestMost; ++i) rest *= 2;
  ++standing.rests;
  standing.until = now + std::min(rest, kRestMost);
  return true;
}

void AttemptMemory::keep(const std::set<std::string>& routes,
                         const std::set<std::string>& targets) {
  std::erase_if(targets_, [&](const auto& row) { return !targets.contains(row.first); });
  std::erase_if(saved_, [&](const auto& row) { return !routes.contains(row.first); });
}

Attempts::Attempts(AttemptMemory& memory, std::string route, std::vector<Candidate> candidates,
                   std::uint32_t retries, std::uint32_t percent, std::uint64_t seed)
    : memory_(memory),
      route_(std::move(route)),
      candidates_(std::move(candidates)),
      was_given_(candidates_.size(), false),
      retries_left_(retries),
      seed_(seed) {
  memory_.count_request(route_, percent);
}

std::optional<std::size_t> Attempts::next(Instant now) {
  std::vector<std::size_t> ready;
  std::vector<std::size_t> cautious;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (was_given_[i]) continue;
    const auto rest = memory_.rest_of(candidates_[i].name, now);
    if (!rest) ready.push_back(i);
    if (rest && !rest->was_asked_for) cautious.push_back(i);
  }
  const auto found = chosen(ready.empty() ? cautious : ready);
  if (found) was_given_[*found] = true;
  return found;
}

// Weighted rendezvous (Thaler and Ravishankar, 1998, with the logarithmic score): the choice of one
// does not depend on who else is there, so that a target that rests moves no other's share.
std::optional<std::size_t> Attempts::chosen(const std::vector<std::size_t>& among) const {
  std::optional<std::size_t> best;
  double best_score = 0;
  for (const std::size_t i : among) {
    const Candidate& candidate = candidates_[i];
    const std::uint64_t bits = mixed(seed_ ^ seed_of(candidate.name));
    const double score = -std::log(fraction(bits)) / std::max(candidate.weight, 1U);
    const bool is_earlier = best && candidate.tier < candidates_[*best].tier;
    const bool is_same = best && candidate.tier == candidates_[*best].tier;
    if (!best || is_earlier || (is_same && score < best_score)) {
      best = i;
      best_score = score;
    }
  }
  return best;
}

std::optional<Instant> Attempts::rests_until(Instant now) const {
  std::optional<Instant> soonest;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (was_given_[i]) continue;
    const auto rest = memory_.rest_of(candidates_[i].name, now);
    if (rest && (!soonest || rest->until < *soonest)) soonest = rest->until;
  }
  return soonest;
}

bool Attempts::goes_on(std::size_t candidate, AttemptEnd end, std::optional<Nanos> asked,
                       bool has_effects, Instant now) {
  has_set_aside_ = memory_.note(candidates_[candidate].name, end, asked, now);
  if (!may_go_again(end, has_effects) || retries_left_ == 0) return false;
  const bool is_any_left = std::ranges::find(was_given_, false) != was_given_.end();
  if (!is_any_left) return false;
  if (!memory_.take_retry(route_)) {
    is_out_of_budget_ = true;
    return false;
  }
  --retries_left_;
  return true;
}

}  // namespace gatehouse::gateway
