// SPDX-License-Identifier: Apache-2.0
#include "gateway/model_counters.h"

#include <algorithm>
#include <string>

namespace gatehouse::gateway {
namespace {

// A provider may say anything: a counter stays where it cannot grow.
void add(std::uint64_t& counter, std::int64_t more) {
  const auto plus = static_cast<std::uint64_t>(std::max<std::int64_t>(more, 0));
  counter = plus > UINT64_MAX - counter ? UINT64_MAX : counter + plus;
}

}  // namespace

void ModelCounters::count(wire::LlmProvider provider, const wire::Usage& usage,
                          std::optional<std::int64_t> micro_usd) {
  OfProvider& of = providers_.at(static_cast<std::size_t>(provider));
  ++of.calls;
  if (micro_usd) add(of.micro_usd, *micro_usd);
  if (!micro_usd) ++of.unpriced;
  add(of.input, usage.input);
  add(of.cache_read, usage.cache_read);
  add(of.cache_write, usage.cache_write_5m);
  add(of.cache_write, usage.cache_write_1h);
  add(of.input_audio, usage.input_audio);
  add(of.output, usage.output);
  add(of.reasoning, usage.reasoning);
  add(of.output_audio, usage.output_audio);
}

void ModelCounters::add_to(ipc::CounterList& list) const {
  for (const wire::LlmProvider provider : wire::kLlmProviders) {
    const OfProvider& of = providers_.at(static_cast<std::size_t>(provider));
    if (of.calls == 0) continue;
    const std::string name(wire::name_of(provider));
    const auto tell = [&](std::string_view what, std::uint64_t value) {
      list.counters.push_back({std::string(what) + name, value});
    };
    tell("llm.calls.", of.calls);
    tell("llm.unpriced.", of.unpriced);
    tell("llm.cost_micro_usd.", of.micro_usd);
    tell("llm.tokens.input.", of.input);
    tell("llm.tokens.cache_read.", of.cache_read);
    tell("llm.tokens.cache_write.", of.cache_write);
    tell("llm.tokens.input_audio.", of.input_audio);
    tell("llm.tokens.output.", of.output);
    tell("llm.tokens.reasoning.", of.reasoning);
    tell("llm.tokens.output_audio.", of.output_audio);
  }
}

}  // namespace gatehouse::gateway
