// SPDX-License-Identifier: Apache-2.0
// Turns: for what is done by one task at a time. Of one Loop.
#pragma once

#include <utility>

#include "net/loop.h"
#include "net/task.h"

namespace gatehouse::net {

class Turns;

// Held as long as the one thing is done, also by a task that is cancelled in it.
class Turn {
 public:
  Turn(Turn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)) {}
  Turn& operator=(Turn&&) = delete;
  ~Turn();

 private:
  friend class Turns;
  explicit Turn(Turns& turns) : turns_(&turns) {}
  Turns* turns_;
};

class Turns {
 public:
  explicit Turns(Loop& loop) : free_(loop) { free_.set(); }

  [[nodiscard]] bool is_taken() const { return !free_.is_set(); }
  // Waits until nobody holds it. Who waits has no place in a queue. This must outlive the Turn.
  [[nodiscard]] Task<Turn> take() {
    while (is_taken()) (void)co_await free_.wait(Deadline::never());
    free_.reset();
    co_return Turn(*this);
  }

 private:
  friend class Turn;
  Event free_;
};

inline Turn::~Turn() {
  if (turns_ != nullptr) turns_->free_.set();
}

}  // namespace gatehouse::net
