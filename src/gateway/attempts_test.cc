// SPDX-License-Identifier: Apache-2.0
#include "gateway/attempts.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace gatehouse::gateway {
namespace {

using namespace std::chrono_literals;
using End = AttemptEnd;

constexpr std::array kEnds = {End::kAnswered, End::kNotReached, End::kBusy,
                              End::kFailing,  End::kNoAnswer,   End::kStopped};

Instant at(Nanos since) { return Instant(since); }

std::vector<Candidate> two_tiers() { return {{"a", 1, 3}, {"b", 1, 1}, {"c", 2, 1}}; }

TEST(Attempts, GoAgainOnlyWhereNothingCanHaveComeOfTheFirst) {
  EXPECT_TRUE(may_go_again(End::kNotReached, false));
  EXPECT_TRUE(may_go_again(End::kNotReached, true)) << "nobody took anything";
  for (const End end : {End::kBusy, End::kFailing, End::kNoAnswer}) {
    EXPECT_TRUE(may_go_again(end, false));
    EXPECT_FALSE(may_go_again(end, true)) << "a tool may have run at the provider";
  }
  for (const bool has_effects : {false, true}) {
    EXPECT_FALSE(may_go_again(End::kAnswered, has_effects));
    EXPECT_FALSE(may_go_again(End::kStopped, has_effects));
  }
  for (int status = 100; status < 600; ++status) {
    const bool again = may_go_again(end_of_status(status), false);
    EXPECT_EQ(again,
              status == 429 || status == 502 || status == 503 || status == 504 || status == 529)
        << status;
  }
}

TEST(Attempts, AnErrorBeforeAnythingWasSentIsOneThatReachedNobody) {
  for (const auto code : {Error::kTimeout, Error::kUnreachable, Error::kUpstream, Error::kClosed}) {
    EXPECT_EQ(end_of_error(code, false), End::kNotReached);
    EXPECT_EQ(end_of_error(code, true), End::kNoAnswer);
  }
  EXPECT_EQ(end_of_error(Error::kDenied, false), End::kNotReached);
  for (const auto code : {Error::kDenied, Error::kKilled, Error::kInvalid, Error::kLeaseRefused}) {
    EXPECT_EQ(end_of_error(code, true), End::kStopped);
  }
}

TEST(Attempts, TakeTheLowestTierFirstAndEachTargetOnce) {
  AttemptMemory memory;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Attempts attempts(memory, "route", two_tiers(), 5, 100, seed);
    const auto first = attempts.next(at(0s));
    const auto second = attempts.next(at(0s));
    ASSERT_TRUE(first && second);
    EXPECT_NE(*first, *second);
    EXPECT_LT(*first, 2u);
    EXPECT_LT(*second, 2u);
    EXPECT_EQ(attempts.next(at(0s)), 2u);
    EXPECT_EQ(attempts.next(at(0s)), std::nullopt);
  }
}

TEST(Attempts, ShareByWeightAndTheSameSeedChoosesTheSame) {
  AttemptMemory memory;
  int of_a = 0;
  constexpr int kAll = 20'000;
  for (int i = 0; i < kAll; ++i) {
    const std::uint64_t seed = seed_of("run " + std::to_string(i));
    const auto one = Attempts(memory, "route", two_tiers(), 0, 0, seed).next(at(0s));
    ASSERT_EQ(one, Attempts(memory, "route", two_tiers(), 0, 0, seed).next(at(0s)));
    of_a += one == 0u ? 1 : 0;
  }
  EXPECT_NEAR(of_a / double{kAll}, 0.75, 0.02);  // five standard deviations are 0.015
}

TEST(Attempts, ATargetThatRestsMovesNobodyElse) {
  AttemptMemory memory;
  const std::vector<Candidate> three = {{"a", 1, 1}, {"b", 1, 1}, {"c", 1, 1}};
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    AttemptMemory tired;
    for (std::uint32_t i = 0; i < AttemptMemory::kFailuresMost; ++i) {
      tired.note("b", End::kFailing, std::nullopt, at(0s));
    }
    const auto before = Attempts(memory, "route", three, 0, 0, seed).next(at(1s));
    const auto after = Attempts(tired, "route", three, 0, 0, seed).next(at(1s));
    ASSERT_TRUE(before && after);
    EXPECT_NE(*after, 1u);
    if (*before != 1u) EXPECT_EQ(*after, *before);
  }
}

TEST(Attempts, ATargetThatFailsInARowRestsTwiceAsLongEachTime) {
  AttemptMemory memory;
  Instant now = at(100s);
  EXPECT_FALSE(memory.note("a", End::kFailing, std::nullopt, now));
  EXPECT_FALSE(memory.note("a", End::kNotReached, std::nullopt, now));
  EXPECT_EQ(memory.rest_of("a", now), std::nullopt);
  Nanos wanted = AttemptMemory::kRestLeast;
  for (int i = 0; i < 12; ++i) {
    EXPECT_TRUE(memory.note("a", End::kNoAnswer, std::nullopt, now));
    const auto rest = memory.rest_of("a", now);
    ASSERT_TRUE(rest);
    EXPECT_FALSE(rest->was_asked_for);
    EXPECT_EQ(rest->until - now, wanted);
    EXPECT_EQ(memory.rest_of("a", rest->until), std::nullopt) << "then it is tried again";
    now = rest->until;
    wanted = std::min(wanted * 2, AttemptMemory::kRestMost);
  }
  memory.note("a", End::kAnswered, std::nullopt, now);
  EXPECT_FALSE(memory.note("a", End::kFailing, std::nullopt, now)) << "it is as good as new";
  EXPECT_EQ(memory.rest_of("a", now), std::nullopt);
  memory.note("a", End::kStopped, std::nullopt, now);
  EXPECT_FALSE(memory.note("a", End::kFailing, std::nullopt, now)) << "a kill counts for nothing";
}

TEST(Attempts, AnUpstreamThatAsksToBeLeftAloneIs) {
  AttemptMemory memory;
  const std::vector<Candidate> one = {{"a", 1, 1}};
  memory.note("a", End::kBusy, 30s, at(10s));
  Attempts attempts(memory, "route", one, 2, 100, 1);
  EXPECT_EQ(attempts.next(at(11s)), std::nullopt);
  EXPECT_EQ(attempts.rests_until(at(11s)), at(40s));
  EXPECT_EQ(attempts.next(at(40s)), 0u);
  // Another tier is tried meanwhile.
  memory.note("a", End::kBusy, 30s, at(50s));
  Attempts other(memory, "route", two_tiers(), 2, 100, 1);
  EXPECT_EQ(other.next(at(51s)), 1u);
  EXPECT_EQ(other.next(at(51s)), 2u);
  EXPECT_EQ(other.next(at(51s)), std::nullopt);
}

TEST(Attempts, WhatRestsOutOfOurOwnCautionIsTriedWhenNothingElseIsLeft) {
  AttemptMemory memory;
  for (int i = 0; i < 5; ++i) memory.note("a", End::kNotReached, std::nullopt, at(0s));
  ASSERT_TRUE(memory.rest_of("a", at(1s)));
  Attempts attempts(memory, "route", {{"a", 1, 1}, {"b", 2, 1}}, 2, 100, 1);
  EXPECT_EQ(attempts.next(at(1s)), 1u) << "the next tier goes before it";
  EXPECT_EQ(attempts.next(at(1s)), 0u);
}

TEST(Attempts, ForgetWhatTheRulesNoLongerName) {
  AttemptMemory memory;
  memory.count_request("old", 1);
  memory.count_request("new", 1);
  memory.note("gone", End::kFailing, std::nullopt, at(0s));
  memory.note("kept", End::kFailing, std::nullopt, at(0s));
  memory.keep({"new"}, {"kept"});
  EXPECT_EQ(memory.size(), 2u);
  EXPECT_FALSE(memory.take_retry("old"));
  EXPECT_TRUE(memory.take_retry("new"));
}

// Whatever happens: no target twice in a request, no more attempts than one and its retries, none
// after an end that allows none, none with a target that asked to be left alone, and over all
// requests not more retries than the budget's share and what was saved.
TEST(Attempts, HoldWhateverHappens) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    AttemptMemory memory;
    const auto percent = static_cast<std::uint32_t>(random() % 101);
    std::vector<Candidate> candidates;
    for (std::uint64_t i = 0; i < 1 + random() % 6; ++i) {
      candidates.push_back({"t" + std::to_string(i), 1 + static_cast<std::uint32_t>(random() % 3),
                            1 + static_cast<std::uint32_t>(random() % 9)});
    }
    Instant now = at(1s);
    std::map<std::string, Instant> left_alone;
    std::int64_t retries = 0;
    constexpr int kRequests = 500;
    for (int i = 0; i < kRequests; ++i) {
      now = now + Nanos(random() % 3'000'000'000);
      const auto most = static_cast<std::uint32_t>(random() % 4);
      Attempts attempts(memory, "route", candidates, most, percent, random());
      std::set<std::size_t> tried;
      while (const auto target = attempts.next(now)) {
        ASSERT_TRUE(tried.insert(*target).second) << seed;
        const std::string& name = candidates[*target].name;
        ASSERT_LE(left_alone[name], now) << seed;
        now = now + Nanos(random() % 1'000'000'000);
        const End end = kEnds[random() % kEnds.size()];
        const bool has_effects = random() % 4 == 0;
        std::optional<Nanos> asked;
        if (end == End::kBusy && random() % 2 == 0) asked = Nanos(random() % 20'000'000'000);
        const bool on = attempts.goes_on(*target, end, asked, has_effects, now);
        if (end == End::kAnswered) left_alone.erase(name);
        if (asked) left_alone[name] = std::max(left_alone[name], now + *asked);
        if (!on) break;
        ASSERT_TRUE(may_go_again(end, has_effects)) << seed;
        ++retries;
      }
      ASSERT_LE(tried.size(), most + 1) << seed;
    }
    EXPECT_LE(retries * 100, kRequests * std::int64_t{percent} + AttemptMemory::kSavedMost * 100);
  }
}

}  // namespace
}  // namespace gatehouse::gateway
