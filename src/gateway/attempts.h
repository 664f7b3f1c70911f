// SPDX-License-Identifier: Apache-2.0
// Which target of a model route a request goes to, and to which it goes when that one fails.
// Sans-I/O: what time it is, is told; chance is a seed, so that the same seed and the same memory
// choose the same target. Belongs to the gateway's thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace gatehouse::gateway {

// How an attempt ended, as far as it matters to another one.
enum class AttemptEnd : std::uint8_t {
  kAnswered,    // whatever it says, it is the agent's: also an error that another would make too
  kNotReached,  // no connection, or one that took nothing of the request: nothing can have happened
  kBusy,        // 429
  kFailing,     // 502, 503, 504 or 529
  kNoAnswer,    // sent, and then too late, or broken off before an answer's head
  kStopped,     // not the target's doing: a kill, an agent that left
};
// Of an answer's status.
[[nodiscard]] AttemptEnd end_of_status(int status);
// Where there was no answer. `is_sent`: something of the request may have been.
[[nodiscard]] AttemptEnd end_of_error(Error::Code code, bool is_sent);
// Whether a request that ended so may be sent once more. `has_effects`: something other than an
// answer may have come of it, such as a tool that ran at the provider; then only what was never
// taken by anyone goes again.
[[nodiscard]] bool may_go_again(AttemptEnd end, bool has_effects);
// What an upstream asks to be left alone for is believed up to here.
inline constexpr Nanos kAskedRestMost = std::chrono::hours(1);

// What a gateway remembers of targets and of how often it tried again. Targets and routes are known
// by names that are the owner's; those of earlier rules are forgotten by `keep`.
class AttemptMemory {
 public:
  static constexpr std::uint32_t kFailuresMost = 3;  // in a row; then a target rests
  static constexpr Nanos kRestLeast = std::chrono::seconds(5);
  static constexpr Nanos kRestMost = std::chrono::minutes(5);  // it doubles until then
  static constexpr std::int64_t kSavedMost = 10;               // retries, for a quiet time

  // A request came for that route, of which `percent` in a hundred may be tried again.
  void count_request(const std::string& route, std::uint32_t percent);
  // Takes one retry out of the route's budget; false: there is none left.
  [[nodiscard]] bool take_retry(const std::string& route);

  // Nothing: the target may be tried now. Else until when it rests.
  struct Rest {
    Instant until;
    bool was_asked_for = false;  // by the upstream itself; else it is our own caution
  };
  [[nodiscard]] std::optional<Rest> rest_of(const std::string& target, Instant now) const;
  // True when it rests from now on because it failed too often.
  bool note(const std::string& target, AttemptEnd end, std::optional<Nanos> asked, Instant now);

  // Forgets all others.
  void keep(const std::set<std::string>& routes, const std::set<std::string>& targets);
  [[nodiscard]] std::size_t size() const { return targets_.size() + saved_.size(); }

 private:
  struct Standing {
    std::uint32_t failures = 0;  // in a row
    std::uint32_t rests = 0;     // in a row
    Instant until;               // out of our own caution
    Instant asked_until;         // because it asked for it
  };
  std::map<std::string, Standing> targets_;
  std::map<std::string, std::int64_t> saved_;  // hundredths of a retry
};

struct Candidate {
  std::string name;
  std::uint32_t tier = 1;    // a lower one goes first
  std::uint32_t weight = 1;  // its share among those of its tier
};

// The attempts of one request.
class Attempts {
 public:
  // `retries`: how many may follow the first attempt.
  Attempts(AttemptMemory& memory, std::string route, std::vector<Candidate> candidates,
           std::uint32_t retries, std::uint32_t percent, std::uint64_t seed);

  // The next candidate, which is never given again: of the lowest tier in which any does not rest,
  // one by weight and seed. When all that are left rest out of our own caution, one of them all the
  // same: a refusal would be no better. Nothing: none is left, or those that are asked to be left
  // alone.
  [[nodiscard]] std::optional<std::size_t> next(Instant now);
  // Until when the last that are left are to be left alone; nothing when none is.
  [[nodiscard]] std::optional<Instant> rests_until(Instant now) const;
  // An attempt with that candidate ended. True: another may be made, and is paid for.
  [[nodiscard]] bool goes_on(std::size_t candidate, AttemptEnd end, std::optional<Nanos> asked,
                             bool has_effects, Instant now);
  // Whether the route's budget was what kept a request from being tried again.
  [[nodiscard]] bool is_out_of_budget() const { return is_out_of_budget_; }
  [[nodiscard]] bool has_set_aside() const { return has_set_aside_; }

 private:
  [[nodiscard]] std::optional<std::size_t> chosen(const std::vector<std::size_t>& among) const;

  AttemptMemory& memory_;
  std::string route_;
  std::vector<Candidate> candidates_;
  std::vector<bool> was_given_;
  std::uint32_t retries_left_;
  std::uint64_t seed_;
  bool is_out_of_budget_ = false;
  bool has_set_aside_ = false;
};

// A seed out of anything.
[[nodiscard]] std::uint64_t seed_of(std::string_view bytes);

}  // namespace gatehouse::gateway
