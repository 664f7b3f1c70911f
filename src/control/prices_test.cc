// SPDX-License-Identifier: Apache-2.0
#include "control/prices.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "control/config.h"

namespace gatehouse::control {
namespace {

TEST(Prices, OfTheBuiltInListAreWhole) {
  const auto& list = builtin_prices();
  EXPECT_GT(list.size(), 200U);
  for (const ipc::PriceSpec& price : list) {
    EXPECT_NE(price.input, ipc::PriceSpec::kNone) << price.model;
    EXPECT_LE(price.input, 1'000'000'000U) << price.model << " costs a thousand dollars";
    EXPECT_EQ(price.origin.size(), std::string_view("2026-01-01").size()) << price.origin;
    EXPECT_FALSE(price.is_operators || price.any_kind || price.model.empty());
  }
  const auto found = std::ranges::find_if(list, [](const ipc::PriceSpec& price) {
    return price.model == "gpt-4o" && price.kind == ipc::ServiceKind::kOpenAi;
  });
  ASSERT_NE(found, list.end());
  EXPECT_EQ(found->input, 2'500'000U);
  EXPECT_EQ(found->cache_read, 1'250'000U);
  EXPECT_EQ(found->output, 10'000'000U);
}

std::string problem_of(const std::string& price) {
  const auto config = decode_config("version: 1\nprices: [" + price + "]\n",
                                    [](const std::string&) { return Result<std::string>(""); });
  if (config) return "";
  return config.error().front().what;
}

TEST(Prices, AreReadFromTheConfig) {
  const auto config = decode_config(
      "version: 1\nprices: [{model: \"a*\", service: s, above_input: 7, input: 0.0000015, "
      "output: 2}]\n",
      [](const std::string&) { return Result<std::string>(""); });
  ASSERT_TRUE(config) << config.error().front().what;
  ipc::PriceSpec wanted;
  wanted.origin = "config";
  wanted.is_operators = true;
  wanted.model = "a*";
  wanted.service = "s";
  wanted.above_input = 7;
  wanted.input = 2;  // micro-dollars for a million tokens, rounded
  wanted.output = 2'000'000;
  EXPECT_EQ(config->prices, std::vector{wanted});
}

TEST(Prices, ThatAreNoneAreToldSo) {
  for (const char* price :
       {"{input: 1}", "{model: a}", "{model: a, input: -1}", "{model: a, input: 1e3}",
        "{model: a, input: \"1\"}", "{model: a, input: 100001}", "{model: a, input: .nan}",
        "{model: a, input: 1, price: 2}", "{model: a b, input: 1}",
        "{model: a, service: \"\", input: 1}", "{model: a, input: [1]}"}) {
    EXPECT_NE(problem_of(price), "") << price;
  }
  EXPECT_EQ(problem_of("{model: a, input: 1}"), "");
  EXPECT_TRUE(problem_of("{model: a, input: x}").contains("dollars"));
}

}  // namespace
}  // namespace gatehouse::control
