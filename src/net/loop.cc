// SPDX-License-Identifier: Apache-2.0
#include "net/loop.h"

#include <utility>

#include "base/check.h"

namespace gatehouse::net {

void Waiter::park(std::coroutine_handle<> handle, Deadline deadline) {
  CHECK(state_ == State::kIdle);
  handle_ = handle;
  deadline_ = deadline;
  timed_out_ = false;
  state_ = State::kParked;
  if (!deadline.is_never()) loop_->add_timer(*this);
}

void Waiter::wake() {
  CHECK(state_ == State::kParked);
  if (timer_index_ != kNoTimer) loop_->remove_timer(*this);
  state_ = State::kReady;
  loop_->push_ready(*this);
}

void Waiter::detach() {
  if (timer_index_ != kNoTimer) loop_->remove_timer(*this);
  if (state_ == State::kReady) loop_->remove_ready(*this);
  state_ = State::kIdle;
}

Loop::~Loop() { CHECK(ready_first_ == nullptr && timers_.empty()); }

void Loop::run() {
  while (true) {
    run_ready();
    end_turn();
    const Instant until = has_ready() ? Instant() : next_timer();
    if (!poll(until)) return;
    expire_timers(now());
  }
}

void Loop::run_ready() {
  // Only what is ready now: what becomes ready meanwhile waits for the next turn, so that I/O is
  // not starved.
  for (std::size_t turns = ready_count_; turns > 0 && ready_first_ != nullptr; --turns) {
    Waiter* next = ready_first_;
    std::size_t skip = pick(ready_count_);
    if (skip >= ready_count_) return;
    for (; skip > 0; --skip) next = next->next_;
    remove_ready(*next);
    next->state_ = Waiter::State::kIdle;
    ++steps_;
    is_in_step_ = true;
    next->handle_.resume();
    is_in_step_ = false;
  }
}

void AtTurnEnd::await_suspend(std::coroutine_handle<> handle) {
  waiter_.park(handle, Deadline::never());
  Loop& loop = waiter_.loop();
  previous_ = loop.at_end_last_;
  (previous_ != nullptr ? previous_->next_ : loop.at_end_first_) = this;
  loop.at_end_last_ = this;
  listed_ = true;
}

AtTurnEnd::~AtTurnEnd() {
  if (listed_) waiter_.loop().unlist(*this);
}

void Loop::unlist(AtTurnEnd& item) {
  (item.previous_ != nullptr ? item.previous_->next_ : at_end_first_) = item.next_;
  (item.next_ != nullptr ? item.next_->previous_ : at_end_last_) = item.previous_;
  item.previous_ = item.next_ = nullptr;
  item.listed_ = false;
}

void Loop::end_turn() {
  while (at_end_first_ != nullptr) {
    AtTurnEnd& item = *at_end_first_;
    unlist(item);
    item.act();
    item.waiter_.wake();
  }
}

void Loop::push_ready(Waiter& waiter) {
  waiter.previous_ = ready_last_;
  waiter.next_ = nullptr;
  (ready_last_ != nullptr ? ready_last_->next_ : ready_first_) = &waiter;
  ready_last_ = &waiter;
  ++ready_count_;
}

void Loop::remove_ready(Waiter& waiter) {
  (waiter.previous_ != nullptr ? waiter.previous_->next_ : ready_first_) = waiter.next_;
  (waiter.next_ != nullptr ? waiter.next_->previous_ : ready_last_) = waiter.previous_;
  waiter.previous_ = waiter.next_ = nullptr;
  --ready_count_;
}

Instant Loop::next_timer() const {
  return timers_.empty() ? Instant(Nanos::max()) : timers_.front()->deadline_.at();
}

void Loop::expire_timers(Instant now) {
  while (!timers_.empty() && timers_.front()->deadline_.at() <= now) {
    Waiter* due = timers_.front();
    due->timed_out_ = true;
    due->wake();
  }
}

void Loop::place(std::size_t index, Waiter* waiter) {
  timers_[index] = waiter;
  waiter->timer_index_ = index;
}

void Loop::sift_up(std::size_t index) {
  Waiter* moving = timers_[index];
  while (index > 0) {
    const std::size_t parent = (index - 1) / 2;
    if (timers_[parent]->deadline_ <= moving->deadline_) break;
    place(index, timers_[parent]);
    index = parent;
  }
  place(index, moving);
}

void Loop::sift_down(std::size_t index) {
  Waiter* moving = timers_[index];
  while (true) {
    std::size_t child = 2 * index + 1;
    if (child >= timers_.size()) break;
    if (child + 1 < timers_.size() && timers_[child + 1]->deadline_ < timers_[child]->deadline_) {
      ++child;
    }
    if (moving->deadline_ <= timers_[child]->deadline_) break;
    place(index, timers_[child]);
    index = child;
  }
  place(index, moving);
}

void Loop::add_timer(Waiter& waiter) {
  timers_.push_back(&waiter);
  waiter.timer_index_ = timers_.size() - 1;
  sift_up(timers_.size() - 1);
}

void Loop::remove_timer(Waiter& waiter) {
  const std::size_t index = std::exchange(waiter.timer_index_, Waiter::kNoTimer);
  Waiter* last = timers_.back();
  timers_.pop_back();
  if (last == &waiter) return;
  place(index, last);
  sift_up(index);
  sift_down(last->timer_index_);
}

namespace {

class Pause {
 public:
  Pause(Loop& loop, Deadline until) : waiter_(loop), until_(until) {}
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> handle) { waiter_.park(handle, until_); }
  void await_resume() const {}

 private:
  Waiter waiter_;
  Deadline until_;
};

}  // namespace

Task<void> Loop::sleep_until(Instant at) { co_await Pause(*this, Deadline(at)); }

bool Loop::has_had_its_share() {
  constexpr unsigned kSharesMost = 64;  // reads: of 16 KiB each, a part of a millisecond
  if (step() == 0) return false;
  if (std::exchange(shared_in_, step()) != step()) shares_ = 0;
  return ++shares_ > kSharesMost;
}

Task<Result<void>> Loop::give_way(Deadline deadline) {
  co_await sleep_until(now());
  if (now() < deadline.at()) co_return Result<void>();
  co_return failure(Error::kTimeout, "the deadline has passed, however much still comes");
}

Event::~Event() { CHECK(first_ == nullptr); }

void Event::set() {
  is_set_ = true;
  while (first_ != nullptr) {
    Awaiter& awaiter = *first_;
    unlist(awaiter);
    if (awaiter.waiter_.is_parked()) awaiter.waiter_.wake();
  }
}

void Event::unlist(Awaiter& awaiter) {
  (awaiter.previous_ != nullptr ? awaiter.previous_->next_ : first_) = awaiter.next_;
  if (awaiter.next_ != nullptr) awaiter.next_->previous_ = awaiter.previous_;
  awaiter.previous_ = awaiter.next_ = nullptr;
  awaiter.listed_ = false;
}

Event::Awaiter::~Awaiter() {
  if (listed_) event_->unlist(*this);
}

void Event::Awaiter::await_suspend(std::coroutine_handle<> handle) {
  waiter_.park(handle, deadline_);
  next_ = event_->first_;
  if (next_ != nullptr) next_->previous_ = this;
  event_->first_ = this;
  listed_ = true;
}

Result<void> Event::Awaiter::await_resume() {
  if (listed_) event_->unlist(*this);
  if (waiter_.timed_out()) return failure(Error::kTimeout, "the wait passed its deadline");
  return {};
}

}  // namespace gatehouse::net
