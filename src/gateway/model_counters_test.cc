// SPDX-License-Identifier: Apache-2.0
#include "gateway/model_counters.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>

namespace gatehouse::gateway {
namespace {

std::map<std::string, std::uint64_t> told(const ModelCounters& counters) {
  ipc::CounterList list;
  counters.add_to(list);
  std::map<std::string, std::uint64_t> out;
  for (const ipc::Counter& counter : list.counters) out[counter.name] = counter.value;
  return out;
}

TEST(ModelCounters, TellsEachKindOfTokenByProvider) {
  ModelCounters counters;
  wire::Usage usage;
  usage.input = 100;
  usage.cache_read = 40;
  usage.cache_write_5m = 7;
  usage.cache_write_1h = 5;
  usage.input_audio = 3;
  usage.output = 50;
  usage.reasoning = 20;
  usage.output_audio = 2;
  counters.count(wire::LlmProvider::kAnthropic, usage, 1234);
  counters.count(wire::LlmProvider::kAnthropic, usage, std::nullopt);
  counters.count(wire::LlmProvider::kOpenAi, usage, 1);
  const auto all = told(counters);
  EXPECT_EQ(all.at("llm.calls.anthropic"), 2u);
  EXPECT_EQ(all.at("llm.unpriced.anthropic"), 1u);
  EXPECT_EQ(all.at("llm.cost_micro_usd.anthropic"), 1234u);
  EXPECT_EQ(all.at("llm.tokens.input.anthropic"), 200u);
  EXPECT_EQ(all.at("llm.tokens.cache_read.anthropic"), 80u);
  EXPECT_EQ(all.at("llm.tokens.cache_write.anthropic"), 24u);
  EXPECT_EQ(all.at("llm.tokens.input_audio.anthropic"), 6u);
  EXPECT_EQ(all.at("llm.tokens.output.anthropic"), 100u);
  EXPECT_EQ(all.at("llm.tokens.reasoning.anthropic"), 40u);
  EXPECT_EQ(all.at("llm.tokens.output_audio.anthropic"), 4u);
  EXPECT_EQ(all.at("llm.tokens.input.openai"), 100u);
  EXPECT_FALSE(all.contains("llm.calls.gcp.gemini"));
}

TEST(ModelCounters, StayWhereTheyCannotGrowWhateverAProviderSays) {
  ModelCounters counters;
  wire::Usage usage;
  usage.input = std::numeric_limits<std::int64_t>::max();
  usage.output = -5;
  for (int i = 0; i < 3; ++i) counters.count(wire::LlmProvider::kGemini, usage, std::nullopt);
  const auto all = told(counters);
  EXPECT_EQ(all.at("llm.tokens.input.gcp.gemini"), UINT64_MAX);
  EXPECT_EQ(all.at("llm.tokens.output.gcp.gemini"), 0u);
}

}  // namespace
}  // namespace gatehouse::gateway
