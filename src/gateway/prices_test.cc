// SPDX-License-Identifier: Apache-2.0
#include "gateway/prices.h"

#include <gtest/gtest.h>

namespace gatehouse::gateway {
namespace {

ipc::PriceSpec price(std::string model, std::uint64_t input, std::uint64_t output) {
  ipc::PriceSpec out;
  out.origin = "2026-01-01";
  out.any_kind = false;
  out.kind = ipc::ServiceKind::kAnthropic;
  out.model = std::move(model);
  out.input = input;
  out.output = output;
  return out;
}

ipc::ServiceSpec service(ipc::ServiceKind kind) {
  ipc::ServiceSpec out;
  out.name = "claude";
  out.kind = kind;
  return out;
}

class Costs : public testing::Test {
 protected:
  std::optional<std::int64_t> of(const wire::Usage& usage, std::string_view model,
                                 std::string_view asked = "") {
    const auto cost = Prices(list).cost(service(ipc::ServiceKind::kAnthropic), model, asked, usage);
    return cost ? std::optional(cost->micro_usd) : std::nullopt;
  }
  std::vector<ipc::PriceSpec> list;
};

// Claude Sonnet's list price: 3 dollars in, 15 out; cache 0.30 read, 3.75 and 6 written.
TEST_F(Costs, AreOfEachPartAtItsOwnPrice) {
  list = {price("claude-sonnet-4*", 3'000'000, 15'000'000)};
  list[0].cache_read = 300'000;
  list[0].cache_write_5m = 3'750'000;
  list[0].cache_write_1h = 6'000'000;
  EXPECT_EQ(of({.input = 1'000'000}, "claude-sonnet-4-x"), 3'000'000);
  EXPECT_EQ(of({.input = 1000,
                .cache_read = 400,
                .cache_write_5m = 200,
                .cache_write_1h = 100,
                .output = 10,
                .reasoning = 9},
               "claude-sonnet-4-x"),
            300 * 3 + 120 + 750 + 600 + 150);
  EXPECT_EQ(of({.input = 1}, "claude-sonnet-4-x"), 3);
  EXPECT_EQ(of({.input = 1, .cache_read = 1}, "claude-sonnet-4-x"), 1) << "rounded up";
  EXPECT_EQ(of({}, "claude-sonnet-4-x"), 0);
}

TEST_F(Costs, AreUnknownWhereNobodySaysThePrice) {
  list = {price("claude-sonnet-4*", 3'000'000, ipc::PriceSpec::kNone)};
  EXPECT_EQ(of({.input = 1}, "claude-opus-9"), std::nullopt);
  EXPECT_EQ(of({.input = 1, .output = 1}, "claude-sonnet-4"), std::nullopt);
  EXPECT_EQ(of({.input = 1, .cache_write_1h = 1}, "claude-sonnet-4"), std::nullopt);
  EXPECT_EQ(of({.input = 2, .cache_read = 1}, "claude-sonnet-4"), 6) << "as input";
  const auto other =
      Prices(list).cost(service(ipc::ServiceKind::kOpenAi), "claude-sonnet-4", "", {.input = 1});
  EXPECT_FALSE(other) << "another provider's";
}

TEST_F(Costs, FollowTheOperatorThenTheNearestNameThenTheLength) {
  list = {price("claude-*", 1'000'000, 0), price("claude-opus*", 2'000'000, 0),
          price("claude-opus-5", 3'000'000, 0), price("claude-opus-5", 4'000'000, 0)};
  list[3].above_input = 200;
  EXPECT_EQ(of({.input = 100}, "claude-x"), 100);
  EXPECT_EQ(of({.input = 100}, "claude-opus-4"), 200);
  EXPECT_EQ(of({.input = 100}, "claude-opus-5"), 300);
  EXPECT_EQ(of({.input = 200}, "claude-opus-5"), 600);
  EXPECT_EQ(of({.input = 201}, "claude-opus-5"), 804);
  EXPECT_EQ(of({.input = 100}, "unheard-of", "claude-opus-5"), 300) << "by what was asked for";
  list.push_back(price("*", 9'000'000, 0));
  list.back().is_operators = true;
  list.back().service = "claude";
  EXPECT_EQ(of({.input = 100}, "claude-opus-5"), 900);
  list.back().service = "other";
  EXPECT_EQ(of({.input = 100}, "claude-opus-5"), 300);
}

TEST_F(Costs, OfAnythingThatAProviderMaySayDoNotOverflow) {
  list = {price("m", 100'000'000'000, 100'000'000'000)};
  EXPECT_EQ(of({.input = INT64_MAX, .output = INT64_MAX}, "m"), INT64_MAX);
  EXPECT_EQ(of({.input = 1, .cache_read = INT64_MAX}, "m"), INT64_MAX);
}

}  // namespace
}  // namespace gatehouse::gateway
