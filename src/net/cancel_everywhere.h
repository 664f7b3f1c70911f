// SPDX-License-Identifier: Apache-2.0
// For tests: the same story again and again on the simulated Loop, cancelled after one more
// resumption each time, until it runs to its end. No await point in it is left out; under
// AddressSanitizer a wait that outlives its coroutine shows.
#pragma once

#include <cstdint>

#include "net/sim_loop.h"

namespace gatehouse::net {

// `World` is made of a SimLoop& and has `Task<void> act()`, which is cancelled, and `void after()`,
// which holds what must be true when it was, at whatever point. Returns how many points there were.
template <class World>
std::uint64_t cancel_everywhere(std::uint64_t seed) {
  for (std::uint64_t steps = 0;; ++steps) {
    const auto loop = make_sim_loop(seed);
    World world(*loop);
    bool is_done = false;
    {
      Nursery actors(*loop);
      actors.spawn([](this auto, World* in, bool* done) -> Task<void> {
        co_await in->act();
        *done = true;
      }(&world, &is_done));
      loop->run_steps(steps);
    }
    world.after();
    if (is_done) return steps;
  }
}

}  // namespace gatehouse::net
