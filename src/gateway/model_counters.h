// SPDX-License-Identifier: Apache-2.0
// What calls to models have used and cost since this gateway began, by the provider that answered:
// as many numbers as there are providers, whatever passes. Of its Loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "ipc/control_gateway.h"
#include "wire/llm.h"

namespace gatehouse::gateway {

class ModelCounters {
 public:
  // One call: what it used, an estimate among it, and what it cost in micro-dollars; none where
  // nobody says the price.
  void count(wire::LlmProvider provider, const wire::Usage& usage,
             std::optional<std::int64_t> micro_usd);
  // Adds `llm.calls.` and so on, each with the provider's name behind it; of those that were
  // called.
  void add_to(ipc::CounterList& list) const;

 private:
  struct OfProvider {
    std::uint64_t calls = 0;
    std::uint64_t unpriced = 0;
    std::uint64_t micro_usd = 0;
    std::uint64_t input = 0;
    std::uint64_t cache_read = 0;
    std::uint64_t cache_write = 0;
    std::uint64_t input_audio = 0;
    std::uint64_t output = 0;
    std::uint64_t reasoning = 0;
    std::uint64_t output_audio = 0;
  };
  std::array<OfProvider, wire::kLlmProviders.size()> providers_{};
};

}  // namespace gatehouse::gateway
