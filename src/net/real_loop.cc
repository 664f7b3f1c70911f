// SPDX-License-Identifier: Apache-2.0
#include "net/real_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>

#include "base/check.h"
#include "net/socket.h"

namespace gatehouse::net {
namespace {

class EpollLoop;

// Edge-triggered (epoll(7)): an event says that something has changed, and stays noted here until
// somebody waits for it, or has found the descriptor drained.
class EpollPollable : public Pollable {
 public:
  EpollPollable(Loop& loop, const Descriptor& epoll, Descriptor fd)
      : Pollable(loop), epoll_(epoll.get()), fd_(std::move(fd)) {
    // What epoll does not take (a regular file, or no memory) counts as ready: the next system call
    // tells.
    is_watched_ = control(EPOLL_CTL_ADD);
  }
  ~EpollPollable() override { close(); }

  [[nodiscard]] int fd() override { return fd_.get(); }
  void close() override {
    if (!fd_.is_open()) return;
    if (is_watched_) (void)control(EPOLL_CTL_DEL);  // a copy of it may live on elsewhere
    fd_.reset();
  }
  void drained(Direction direction) override {
    State& mine = state(direction);
    mine.has_news = false;
    mine.is_drained = !mine.has_ended && is_watched_;
  }
  [[nodiscard]] bool is_drained(Direction direction) override {
    return state(direction).is_drained;
  }

  void take(std::uint32_t events) {
    constexpr std::uint32_t kEnds = EPOLLHUP | EPOLLERR;
    constexpr std::uint32_t kReadEnds = kEnds | EPOLLRDHUP;
    if ((events & kReadEnds) != 0) state(Direction::kRead).has_ended = true;
    if ((events & kEnds) != 0) state(Direction::kWrite).has_ended = true;
    if ((events & (EPOLLIN | kReadEnds)) != 0) news(Direction::kRead);
    if ((events & (EPOLLOUT | kEnds)) != 0) news(Direction::kWrite);
  }

 private:
  struct State {
    bool has_news = false;  // since somebody waited last
    bool is_drained = false;
    bool has_ended = false;  // what comes with an end may be read in parts without a further event
  };
  State& state(Direction direction) { return states_[static_cast<std::size_t>(direction)]; }

  void news(Direction direction) {
    state(direction).is_drained = false;
    state(direction).has_news = !is_armed(direction) || !fired(direction);
  }
  void arm(Direction direction) override {
    if (direction == Direction::kWrite && !watches_writing_ && is_watched_) {
      watches_writing_ = true;  // not before: a unix socket tells of each byte that its peer takes
      is_watched_ = control(EPOLL_CTL_MOD);
    }
    State& mine = state(direction);
    if (std::exchange(mine.has_news, false) || mine.has_ended || !is_watched_) {
      (void)fired(direction);
    }
  }
  bool control(int operation) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
    if (watches_writing_) event.events |= EPOLLOUT;
    event.data.ptr = this;
    return ::epoll_ctl(epoll_, operation, fd_.get(), &event) == 0;
  }

  int epoll_;
  Descriptor fd_;
  std::array<State, 2> states_;
  bool is_watched_ = false;
  bool watches_writing_ = false;
};

class EpollLoop : public Loop {
 public:
  EpollLoop()
      : epoll_(::epoll_create1(EPOLL_CLOEXEC)), bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    CHECK(epoll_.is_open() && bell_.is_open());
    CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, bell_.get(), &event) == 0);
  }

  Instant now() override {
    if (step() == 0) return Instant::now();
    if (asked_in_ != step()) {
      asked_in_ = step();
      now_ = Instant::now();
    }
    return now_;
  }
  WallTime wall() override { return WallTime::now(); }
  void stop() override {
    post([this] { stopping_ = true; });
  }
  void post(std::function<void()> work) override {
    {
      const std::lock_guard lock(mutex_);
      posted_.push_back(std::move(work));
    }
    if (!is_asleep_.load(std::memory_order_seq_cst)) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t rung = ::write(bell_.get(), &one, sizeof one);
  }

  Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to, Deadline deadline) override {
    return connect_socket(*this, std::move(to), deadline);
  }
  Result<std::unique_ptr<Listener>> listen(const Endpoint& at) override {
    return listen_socket(*this, at);
  }
  std::shared_ptr<Pollable> watch(Descriptor fd) override {
    return std::make_shared<EpollPollable>(*this, epoll_, std::move(fd));
  }

 protected:
  bool poll(Instant until) override {
    is_asleep_.store(true, std::memory_order_seq_cst);
    const bool has_work = run_posted();
    wait(has_work ? Instant() : until);
    is_asleep_.store(false, std::memory_order_relaxed);
    (void)run_posted();
    return !std::exchange(stopping_, false);
  }

 private:
  bool run_posted() {
    std::vector<std::function<void()>> work;
    {
      const std::lock_guard lock(mutex_);
      work.swap(posted_);
    }
    for (const auto& item : work) item();
    return !work.empty();
  }
  // Nothing runs between the wait and the last event but what puts coroutines into the ready queue,
  // so no Pollable goes meanwhile.
  void wait(Instant until) {
    constexpr Nanos kMost = std::chrono::hours(1);
    const Nanos left =
        until == Instant() ? Nanos(0) : std::clamp<Nanos>(until - now(), Nanos(0), kMost);
    const int count = epoll(events_, left);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events_[static_cast<std::size_t>(i)];
      if (event.data.ptr != nullptr) {
        static_cast<EpollPollable*>(event.data.ptr)->take(event.events);
      } else {
        std::uint64_t rings = 0;
        [[maybe_unused]] const ssize_t got = ::read(bell_.get(), &rings, sizeof rings);
      }
    }
  }
  int epoll(std::span<epoll_event> events, Nanos left) {
    const auto most = static_cast<int>(events.size());
    if (!is_coarse_) {
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
      const timespec span{seconds.count(), (left - seconds).count()};
      const int count = ::epoll_pwait2(epoll_.get(), events.data(), most, &span, nullptr);
      if (count >= 0 || errno == EINTR) return count;
      CHECK(errno == ENOSYS || errno == EPERM);  // a kernel before 5.11, or a filter of such a time
      is_coarse_ = true;
    }
    const auto millis = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    const int count = ::epoll_wait(epoll_.get(), events.data(), most, static_cast<int>(millis));
    CHECK(count >= 0 || errno == EINTR);
    return count;
  }

  Descriptor epoll_;
  Descriptor bell_;
  std::array<epoll_event, 256> events_;  // of one wait; here, a local would be zeroed each time
  std::atomic<bool> is_asleep_{false};   // or about to be: who posts rings
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;
  bool is_coarse_ = false;
  bool stopping_ = false;
  std::uint64_t asked_in_ = 0;  // the step in which the time was asked for last
  Instant now_;
};

}  // namespace

std::unique_ptr<Loop> make_real_loop() { return std::make_unique<EpollLoop>(); }

}  // namespace gatehouse::net
