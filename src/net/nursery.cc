// SPDX-License-Identifier: Apache-2.0
#include "net/nursery.h"

#include <atomic>
#include <exception>

#include "base/check.h"
#include "base/log.h"

namespace gatehouse::net {
namespace {

std::atomic<unsigned long> g_tasks_failed{0};

void report_failure(const std::exception_ptr& error) {
  g_tasks_failed.fetch_add(1, std::memory_order_relaxed);
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    log_error("a task ended by an exception; this is a bug", {{"what", exception.what()}});
  } catch (...) {
    log_error("a task ended by an unknown exception; this is a bug");
  }
}

}  // namespace

// The root coroutine of one child. It starts from the ready queue, never inside `spawn`, and when
// it ends it takes itself off the Nursery's list and destroys its own frame.
class Nursery::Child {
 public:
  explicit Child(Nursery& nursery) : nursery_(&nursery), start_(*nursery.loop_) {}

  void begin(Task<void> task) {
    frame_ = run(this, std::move(task)).handle;
    start_.park(frame_, Deadline::never());
    start_.wake();
  }
  void destroy() { frame_.destroy(); }

  Child* previous = nullptr;
  Child* next = nullptr;

 private:
  struct Frame {
    struct promise_type {
      static void* operator new(std::size_t size) { return detail::allocate_frame(size); }
      static void operator delete(void* frame, std::size_t size) noexcept {
        detail::release_frame(frame, size);
      }
      promise_type(Child* owner, Task<void>&) : child(owner) {}
      Frame get_return_object() {
        return {std::coroutine_handle<promise_type>::from_promise(*this)};
      }
      std::suspend_always initial_suspend() noexcept { return {}; }
      struct Final {
        bool await_ready() noexcept { return false; }
        void await_suspend(std::coroutine_handle<promise_type> done) noexcept {
          Child* ended = done.promise().child;
          done.destroy();
          ended->nursery_->remove(ended);
        }
        void await_resume() noexcept {}
      };
      Final final_suspend() noexcept { return {}; }
      void return_void() noexcept {}
      void unhandled_exception() noexcept { report_failure(std::current_exception()); }
      Child* child;
    };
    std::coroutine_handle<promise_type> handle;
  };
  static Frame run(Child*, Task<void> task) { co_await std::move(task); }

  Nursery* nursery_;
  Waiter start_;
  std::coroutine_handle<> frame_;
};

Nursery::Child* Nursery::spawn(Task<void> task) {
  auto* child = new Child(*this);
  child->next = first_;
  if (first_ != nullptr) first_->previous = child;
  first_ = child;
  ++size_;
  empty_.reset();
  child->begin(std::move(task));
  return child;
}

void Nursery::remove(Child* child) {
  (child->previous != nullptr ? child->previous->next : first_) = child->next;
  if (child->next != nullptr) child->next->previous = child->previous;
  delete child;
  if (--size_ == 0) empty_.set();
}

void Nursery::cancel(Child* child) {
  child->destroy();
  remove(child);
}

void Nursery::cancel_all() {
  while (first_ != nullptr) cancel(first_);
}

unsigned long tasks_failed() { return g_tasks_failed.load(std::memory_order_relaxed); }

}  // namespace gatehouse::net
