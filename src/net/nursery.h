// SPDX-License-Identifier: Apache-2.0
// Nursery: owns running tasks. Nothing is detached: a task ends, or its Nursery cancels it.
#pragma once

#include <coroutine>
#include <cstddef>
#include <variant>

#include "net/loop.h"

namespace gatehouse::net {

class Nursery {
 public:
  explicit Nursery(Loop& loop) : empty_(loop), loop_(&loop) { empty_.set(); }
  Nursery(const Nursery&) = delete;
  Nursery& operator=(const Nursery&) = delete;
  // Cancels what still runs. Must not run inside one of its own tasks.
  ~Nursery() { cancel_all(); }

  class Child;
  // Starts `task` at the Loop's next turn. The returned Child stays valid until the task ends; keep
  // it only where the task itself clears it.
  Child* spawn(Task<void> task);
  // Ends the child now: its frame and the wait that it is in are destroyed. Not from inside that
  // child.
  void cancel(Child* child);
  void cancel_all();

  [[nodiscard]] std::size_t size() const { return size_; }
  // Errors: kTimeout when tasks still run at the deadline.
  [[nodiscard]] Event::Awaiter wait_empty(Deadline deadline) { return empty_.wait(deadline); }

 private:
  struct Root;
  friend struct Root;
  void remove(Child* child);

  Child* first_ = nullptr;
  std::size_t size_ = 0;
  Event empty_;
  Loop* loop_;
};

// Runs both; the first to end wins and the other is cancelled. The index tells which.
template <class A, class B>
Task<std::variant<A, B>> race(Loop& loop, Task<A> a, Task<B> b);

// Tasks that ended by an exception since the process began.
unsigned long tasks_failed();

}  // namespace gatehouse::net

#include "net/nursery_inl.h"
