// SPDX-License-Identifier: Apache-2.0
#include "control/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "ipc/histogram.h"

namespace gatehouse::control {
namespace {

Measured sound_house() {
  Measured measured;
  measured.version = "1.2.3";
  measured.has_status = true;
  for (const char* role : {"audit", "vault", "gateway", "gateway.1"}) {
    measured.status.roles.push_back({role, 100, true, 2});
    measured.roles.push_back({role, true, "", {}});
  }
  return measured;
}

Counted& role_of(Measured& measured, std::string_view name) {
  return *std::find_if(measured.roles.begin(), measured.roles.end(),
                       [&](const Counted& role) { return role.role == name; });
}

TEST(Metrics, ShowsEachProcessOfARoleUnderItsName) {
  Measured measured = sound_house();
  role_of(measured, "gateway").counters = {{"refused.denied", 3}};
  role_of(measured, "gateway.1").counters = {{"refused.denied", 4}, {"cpu_ns", 1'500'000'000}};
  const std::string text = exposition(measured);
  for (const char* line : {
           "# TYPE gatehouse_gateway_refusals_total counter\n",
           "gatehouse_gateway_refusals_total{role=\"gateway\",reason=\"denied\"} 3\n",
           "gatehouse_gateway_refusals_total{role=\"gateway.1\",reason=\"denied\"} 4\n",
           "gatehouse_process_cpu_seconds_total{role=\"gateway.1\"} 1.500000000\n",
           "gatehouse_role_restarts_total{role=\"vault\"} 2\n",
           "gatehouse_build_info{version=\"1.2.3\"} 1\n",
           "gatehouse_control_unknown_counters 0\n",
       }) {
    EXPECT_TRUE(text.contains(line)) << line << text;
  }
}

TEST(Metrics, ShowsWhatModelsUseByProviderAndNoOtherLabel) {
  Measured measured = sound_house();
  role_of(measured, "gateway").counters = {{"llm.tokens.cache_read.azure.ai.openai", 9},
                                           {"llm.tokens.cache_read.somebody", 9},
                                           {"llm.cost_micro_usd.anthropic", 2'500'000}};
  const std::string text = exposition(measured);
  for (const char* line : {
           "gatehouse_gateway_llm_cache_read_input_tokens_total{role=\"gateway\",provider=\"azure."
           "ai.openai\"} 9\n",
           "gatehouse_gateway_llm_cost_usd_total{role=\"gateway\",provider=\"anthropic\"} 2.5",
           "gatehouse_control_unknown_counters 1\n",
       }) {
    EXPECT_TRUE(text.contains(line)) << line << text;
  }
  EXPECT_FALSE(text.contains("somebody"));
}

TEST(Metrics, ACapturedRoleAddsNoSeriesAndNoText) {
  Measured measured = sound_house();
  const std::string before = exposition(measured);
  auto& counters = role_of(measured, "gateway").counters;
  counters.push_back({"uses.lease", 1});  // the vault's
  counters.push_back({"refused.\"} 1\nforged_total 7\n", 1});
  for (int i = 0; i < 1000; ++i) counters.push_back({"refused.agent" + std::to_string(i), 1});
  std::string after = exposition(measured);
  const std::string_view counted = "gatehouse_control_unknown_counters 1002\n";
  EXPECT_TRUE(after.ends_with(counted)) << after;
  EXPECT_EQ(after.substr(0, after.size() - counted.size()),
            before.substr(0, before.rfind("gatehouse_control_unknown_counters 0")));
}

TEST(Metrics, AHistogramsBucketsAddUpAndEndInItsCount) {
  Measured measured = sound_house();
  ipc::CounterList said;
  ipc::Histogram times;
  times.observe(std::chrono::microseconds(50));
  times.observe(std::chrono::milliseconds(3));
  times.observe(std::chrono::hours(1));
  times.add_to(said, "time.exchange");
  role_of(measured, "gateway").counters = said.counters;
  const std::string text = exposition(measured);
  const std::string metric = "gatehouse_gateway_exchange_duration_seconds";
  for (const char* line : {
           "_bucket{role=\"gateway\",le=\"0.0001\"} 1\n",
           "_bucket{role=\"gateway\",le=\"0.0025\"} 1\n",
           "_bucket{role=\"gateway\",le=\"0.005\"} 2\n",
           "_bucket{role=\"gateway\",le=\"300\"} 2\n",
           "_bucket{role=\"gateway\",le=\"+Inf\"} 3\n",
           "_sum{role=\"gateway\"} 3600.003050000\n",
           "_count{role=\"gateway\"} 3\n",
       }) {
    EXPECT_TRUE(text.contains(metric + line)) << line << text;
  }
  EXPECT_TRUE(text.contains("# TYPE " + metric + " histogram\n"));
  EXPECT_TRUE(text.contains("gatehouse_control_unknown_counters 0\n"));
}

TEST(Metrics, ABucketThatThereIsNotIsUnknown) {
  Measured measured = sound_house();
  role_of(measured, "gateway").counters = {{"time.exchange.21", 1}, {"time.exchange.x", 1}};
  EXPECT_TRUE(exposition(measured).contains("gatehouse_control_unknown_counters 2\n"));
}

TEST(Metrics, SaysACounterOnceHoweverOftenARoleDoes) {
  Measured measured = sound_house();
  role_of(measured, "vault").counters = {{"leases.live", 1}, {"leases.live", 2}};
  const std::string text = exposition(measured);
  const std::size_t first = text.find("gatehouse_vault_live_leases{");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(text.find("gatehouse_vault_live_leases{", first + 1), std::string::npos);
}

TEST(Metrics, AHouseIsReadyWhenEveryRoleDoesItsWork) {
  EXPECT_TRUE(missing(sound_house()).empty());
}

TEST(Metrics, SaysWhichRoleIsMissingAndWhy) {
  const auto why = [](const Measured& measured) {
    const std::vector<Missing> all = missing(measured);
    return all.size() == 1 ? all[0].role + ": " + all[0].why : std::to_string(all.size());
  };
  Measured ended = sound_house();
  ended.status.roles[1].ready = false;
  ended.status.roles[1].pid = -1;
  role_of(ended, "vault").answered = false;
  EXPECT_EQ(why(ended), "vault: it has ended and is started again; it was 2 times before");
  Measured hung = sound_house();
  role_of(hung, "vault").answered = false;
  role_of(hung, "vault").why = "no answer in time";
  EXPECT_EQ(why(hung), "vault: it does not answer: no answer in time");
  Measured full = sound_house();
  role_of(full, "audit").counters = {{"cannot_write", 1}};
  EXPECT_TRUE(why(full).starts_with("audit: the log cannot be written")) << why(full);
  Measured alone = sound_house();
  alone.has_status = false;
  EXPECT_TRUE(why(alone).starts_with("supervisor: ")) << why(alone);
}

}  // namespace
}  // namespace gatehouse::control
