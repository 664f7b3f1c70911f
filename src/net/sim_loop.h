// SPDX-License-Identifier: Apache-2.0
// The simulated Loop: a virtual clock that jumps to the next timer, a seeded choice among what is
// ready, memory streams (without TLS) in place of TCP that split and delay what is written. Unix
// sockets and pairs of sockets are the kernel's own; their other ends must be in the same Loop. The
// same seed gives the same run.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "net/loop.h"
#include "net/nursery.h"
#include "net/stream.h"

namespace gatehouse::net {

class SimLoop : public Loop {
 public:
  // Runs until nothing is ready and no timer is left, `stop` is called, or virtual time passes
  // `until`.
  virtual void run_for(Nanos span) = 0;
  // Resumes coroutines `steps` times, or fewer if nothing is left; true: more is ready.
  virtual bool run_steps(std::uint64_t steps) = 0;
  // A digest of every choice made so far: two runs of one seed must agree.
  [[nodiscard]] virtual std::uint64_t digest() const = 0;
  // A connected pair of memory streams.
  [[nodiscard]] virtual std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> make_pair() = 0;
  // Draws from the seed: true about once in `n` times.
  [[nodiscard]] virtual bool chance(std::uint64_t n) = 0;
  // Somebody sets the wall clock, forward or back; the monotonic one goes on.
  virtual void jump_wall(Nanos by) = 0;
  // Ends the connection of a stream as a crash would: the other side's next read or write fails.
  virtual void break_stream(Stream& stream) = 0;

  // Runs `task` to its end in virtual time, at most an hour of it, and returns its value; nothing
  // if it hangs.
  template <class T>
  std::optional<T> run_until_done(Task<T> task) {
    std::optional<T> value;
    Nursery nursery(*this);
    nursery.spawn([](this auto, SimLoop* loop, Task<T> body, std::optional<T>* out) -> Task<void> {
      out->emplace(co_await std::move(body));
      loop->stop();
    }(this, std::move(task), &value));
    run_for(std::chrono::hours(1));
    return value;
  }
};

[[nodiscard]] std::unique_ptr<SimLoop> make_sim_loop(std::uint64_t seed);

}  // namespace gatehouse::net
