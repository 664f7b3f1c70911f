// SPDX-License-Identifier: Apache-2.0
#include "sim/entropy.h"

#include <sodium.h>

#include <span>

#include "base/random.h"

namespace gatehouse {
namespace {

SeededRandom g_random(0);

void fill(void* out, std::size_t size) {
  auto* bytes = static_cast<std::uint8_t*>(out);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(g_random());
}

}  // namespace

void fill_from_kernel(std::span<std::uint8_t> out) { fill(out.data(), out.size()); }

WallTime id_clock() { return WallTime(1'767'225'600'000'000'000); }

namespace sim {

void simulate_entropy(std::uint64_t seed) {
  static randombytes_implementation seeded = {
      [] { return "seeded"; },
      [] { return static_cast<std::uint32_t>(g_random()); },
      nullptr,
      nullptr,
      [](void* const out, const std::size_t size) { fill(out, size); },
      nullptr,
  };
  randombytes_set_implementation(&seeded);
  g_random = SeededRandom(seed ^ 0xe117u);
  forget_buffered_random();
}

}  // namespace sim
}  // namespace gatehouse
