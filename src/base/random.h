// SPDX-License-Identifier: Apache-2.0
// Random bytes from the kernel (getrandom(2)), and a seeded generator for simulations only.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "base/time.h"

namespace gatehouse {

// Fills from getrandom(2), buffered per thread; never fails, ends the process if the kernel cannot
// serve.
void fill_random(std::span<std::uint8_t> out);

// Where fill_random gets its bytes: getrandom(2). A simulation links one of its own in its place.
void fill_from_kernel(std::span<std::uint8_t> out);
// The time that new ids begin with, by which they are sorted; a simulation's stands still.
[[nodiscard]] WallTime id_clock();
// Forgets what this thread has buffered, so that a simulation begins with its own bytes.
void forget_buffered_random();

// splitmix64: deterministic, fast, never for keys, nonces or ids.
class SeededRandom {
 public:
  using result_type = std::uint64_t;
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  [[nodiscard]] std::uint64_t operator()() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  [[nodiscard]] std::uint64_t below(std::uint64_t bound) {
    return bound == 0 ? 0 : (*this)() % bound;
  }
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }

 private:
  std::uint64_t state_;
};

}  // namespace gatehouse
