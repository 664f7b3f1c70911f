// SPDX-License-Identifier: Apache-2.0
// Kernel sockets under a Loop, whichever it is: all that a Loop has to bring is Pollable, which
// tells when a descriptor is ready.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "net/loop.h"
#include "net/stream.h"

namespace gatehouse::net {

enum class Direction : std::uint8_t { kRead, kWrite };

// One descriptor that a Loop watches. A wait that the Loop was told of stays armed when its
// coroutine is cancelled: its end then finds nobody, and the next wait finds it armed. The Loop
// shares ownership of this for as long as it may call.
class Pollable : public std::enable_shared_from_this<Pollable> {
 public:
  explicit Pollable(Loop& loop) : loop_(&loop) {}
  virtual ~Pollable() = default;
  Pollable(const Pollable&) = delete;
  Pollable& operator=(const Pollable&) = delete;

  [[nodiscard]] Loop& loop() const { return *loop_; }
  [[nodiscard]] virtual int fd() = 0;
  virtual void close() = 0;
  // A system call has found nothing (more) there.
  virtual void drained(Direction) {}
  // Whether a system call would find nothing, by what the Loop knows: then waiting is the shorter
  // way. A Loop may not know.
  [[nodiscard]] virtual bool is_drained(Direction) { return false; }

 private:
  struct Slot {
    Waiter* waiter = nullptr;
    bool armed = false;
  };

 public:
  class Awaiter {
   public:
    Awaiter(Pollable& pollable, Direction direction, Deadline deadline)
        : pollable_(&pollable),
          slot_(&pollable.slot(direction)),
          waiter_(*pollable.loop_),
          direction_(direction),
          deadline_(deadline) {}
    ~Awaiter() {
      if (slot_->waiter == &waiter_) slot_->waiter = nullptr;
    }
    Awaiter(const Awaiter&) = delete;
    Awaiter& operator=(const Awaiter&) = delete;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle);
    // Errors: kTimeout.
    Result<void> await_resume();

   private:
    Pollable* pollable_;
    Slot* slot_;
    Waiter waiter_;
    Direction direction_;
    Deadline deadline_;
  };
  // One reader and one writer at a time.
  [[nodiscard]] Awaiter wait(Direction direction, Deadline deadline) {
    return Awaiter(*this, direction, deadline);
  }

 protected:
  // Makes the Loop call `fired` when the descriptor is ready, or broken: that shows at the next
  // system call.
  virtual void arm(Direction direction) = 0;
  // Returns whether anybody still waited.
  bool fired(Direction direction);
  [[nodiscard]] bool is_armed(Direction direction) { return slot(direction).armed; }

 private:
  friend class Awaiter;
  Slot& slot(Direction direction) { return slots_[static_cast<std::size_t>(direction)]; }

  Loop* loop_;
  std::array<Slot, 2> slots_;
};

// `Loop::connect` and `Loop::listen`, by the kernel.
[[nodiscard]] Task<Result<std::unique_ptr<Stream>>> connect_socket(Loop& loop, Endpoint to,
                                                                   Deadline deadline);
[[nodiscard]] Result<std::unique_ptr<Listener>> listen_socket(Loop& loop, const Endpoint& at);

}  // namespace gatehouse::net
