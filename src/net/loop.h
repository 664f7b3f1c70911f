// SPDX-License-Identifier: Apache-2.0
// Loop: one thread's clock, timers, ready queue and I/O. The one seam below everything: real_loop.h
// drives it with epoll, sim_loop.h with a seed and a virtual clock. Everything that belongs to a
// Loop is touched by its own thread only; other threads may call `post` and `stop`.
//
// A coroutine that waits is never resumed from inside another one's call: each wake-up goes through
// the ready queue. So whoever runs may destroy (cancel) any task but the one it runs in.
#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "net/task.h"

namespace gatehouse::net {

class Descriptor;
class Loop;
class Stream;
class LocalStream;
class Listener;
class Pollable;
struct Endpoint;

// A suspended coroutine in one wait, with its Deadline. It lives in the awaiter; its destructor
// takes it out of the ready queue and the timers, which is what makes cancellation by destruction
// safe.
class Waiter {
 public:
  explicit Waiter(Loop& loop) : loop_(&loop) {}
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() { detach(); }

  // Waits until `wake` or the deadline, whichever is first.
  void park(std::coroutine_handle<> handle, Deadline deadline);
  // Puts the coroutine in the ready queue. Only for a parked waiter.
  void wake();
  [[nodiscard]] bool is_parked() const { return state_ == State::kParked; }
  [[nodiscard]] bool timed_out() const { return timed_out_; }
  [[nodiscard]] Loop& loop() const { return *loop_; }

 private:
  friend class Loop;
  enum class State : std::uint8_t { kIdle, kParked, kReady };
  void detach();

  Loop* loop_;
  std::coroutine_handle<> handle_;
  Waiter* previous_ = nullptr;  // in the ready queue
  Waiter* next_ = nullptr;
  Deadline deadline_ = Deadline::never();
  std::size_t timer_index_ = kNoTimer;
  State state_ = State::kIdle;
  bool timed_out_ = false;
  static constexpr std::size_t kNoTimer = static_cast<std::size_t>(-1);
};

// Something that a coroutine waits for and that is done when the Loop's turn ends: back to back
// with what the others of this turn want done, before the Loop waits. A peer that slept is then
// woken once for all of it, not once for each.
class AtTurnEnd {
 public:
  explicit AtTurnEnd(Loop& loop) : waiter_(loop) {}
  AtTurnEnd(const AtTurnEnd&) = delete;
  AtTurnEnd& operator=(const AtTurnEnd&) = delete;
  virtual ~AtTurnEnd();  // of one that still waits: it is not done

  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> handle);
  void await_resume() const {}

 protected:
  // Must not resume or destroy a coroutine.
  virtual void act() = 0;

 private:
  friend class Loop;
  Waiter waiter_;
  AtTurnEnd* previous_ = nullptr;
  AtTurnEnd* next_ = nullptr;
  bool listed_ = false;
};

class Loop {
 public:
  Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  virtual ~Loop();

  [[nodiscard]] virtual Instant now() = 0;
  [[nodiscard]] virtual WallTime wall() = 0;
  [[nodiscard]] Deadline in(Nanos span) { return Deadline(now() + span); }

  // Runs until `stop`. Errors: none; what a callback throws ends the process (a bug).
  void run();
  // Any thread.
  virtual void stop() = 0;
  // Runs `work` on the Loop's thread soon. Any thread.
  virtual void post(std::function<void()> work) = 0;

  // Connects to an address that is already resolved and checked; names are not looked up here.
  [[nodiscard]] virtual Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to, Deadline) = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<Listener>> listen(const Endpoint& at) = 0;

  // Streams and listeners around descriptors that came from elsewhere (inherited, received). They
  // take ownership and make them non-blocking. Errors: kInvalid when it is not a stream socket.
  [[nodiscard]] Result<std::unique_ptr<Stream>> adopt_stream(Descriptor);
  [[nodiscard]] Result<std::unique_ptr<LocalStream>> adopt_local(Descriptor);
  [[nodiscard]] Result<std::unique_ptr<Listener>> adopt_listener(Descriptor);
  // Waits until the descriptor, which stays the caller's, is readable.
  [[nodiscard]] Task<Result<void>> wait_readable(int fd, Deadline);
  // Watches a descriptor, for what is built on it (socket.h).
  [[nodiscard]] virtual std::shared_ptr<Pollable> watch(Descriptor) = 0;

  // A pause that ends at `at`.
  [[nodiscard]] Task<void> sleep_until(Instant at);
  [[nodiscard]] Task<void> sleep_for(Nanos span) { return sleep_until(now() + span); }

  // Who reads asks before each read: a peer that always has more would else keep all others, and
  // every deadline, waiting. True where the coroutine that goes on now has read often enough: then
  // it gives way.
  [[nodiscard]] bool has_had_its_share();
  // Until the others have had their turn. Errors: kTimeout at the deadline.
  [[nodiscard]] Task<Result<void>> give_way(Deadline deadline);

 protected:
  // Waits for I/O until `until` at the latest, and makes what can go on ready. `until` may be in
  // the past: then it only looks. Returns false when the Loop was told to stop.
  virtual bool poll(Instant until) = 0;
  // Which of `count` ready coroutines runs next, `count` for none now; the simulated Loop draws it.
  [[nodiscard]] virtual std::size_t pick(std::size_t count) {
    (void)count;
    return 0;
  }
  [[nodiscard]] bool has_ready() const { return ready_first_ != nullptr; }
  [[nodiscard]] Instant next_timer() const;
  void expire_timers(Instant now);
  void run_ready();
  // Counts the coroutines that went on; 0 while none does. What asks for the time twice within one
  // of them gets the same.
  [[nodiscard]] std::uint64_t step() const { return is_in_step_ ? steps_ : 0; }

 private:
  friend class Waiter;
  friend class AtTurnEnd;
  void end_turn();
  void unlist(AtTurnEnd& item);
  void push_ready(Waiter& waiter);
  void remove_ready(Waiter& waiter);
  void add_timer(Waiter& waiter);
  void remove_timer(Waiter& waiter);
  void sift_up(std::size_t index);
  void sift_down(std::size_t index);
  void place(std::size_t index, Waiter* waiter);

  Waiter* ready_first_ = nullptr;
  Waiter* ready_last_ = nullptr;
  std::size_t ready_count_ = 0;
  AtTurnEnd* at_end_first_ = nullptr;
  AtTurnEnd* at_end_last_ = nullptr;
  std::uint64_t steps_ = 0;
  bool is_in_step_ = false;
  std::uint64_t shared_in_ = 0;  // the step that `shares_` are of
  unsigned shares_ = 0;
  std::vector<Waiter*> timers_;  // a binary heap by deadline
};

// One wake-up that may be waited for by many and set again and again; level-triggered until
// `reset`.
class Event {
 public:
  explicit Event(Loop& loop) : loop_(&loop) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event();

  void set();
  void reset() { is_set_ = false; }
  [[nodiscard]] bool is_set() const { return is_set_; }

  class Awaiter {
   public:
    Awaiter(Event& event, Deadline deadline)
        : event_(&event), waiter_(*event.loop_), deadline_(deadline) {}
    ~Awaiter();
    bool await_ready() const { return event_->is_set_; }
    void await_suspend(std::coroutine_handle<> handle);
    // Errors: kTimeout.
    Result<void> await_resume();

   private:
    friend class Event;
    Event* event_;
    Waiter waiter_;
    Deadline deadline_;
    Awaiter* previous_ = nullptr;
    Awaiter* next_ = nullptr;
    bool listed_ = false;
  };
  [[nodiscard]] Awaiter wait(Deadline deadline) { return Awaiter(*this, deadline); }

 private:
  void unlist(Awaiter& awaiter);
  Loop* loop_;
  Awaiter* first_ = nullptr;
  bool is_set_ = false;
};

}  // namespace gatehouse::net
