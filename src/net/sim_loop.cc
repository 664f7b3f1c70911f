// SPDX-License-Identifier: Apache-2.0
#include "net/sim_loop.h"

#include <poll.h>

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <string>

#include "base/check.h"
#include "net/socket.h"

namespace gatehouse::net {
namespace {

constexpr std::size_t kPipeMost = 64 * 1024;  // bytes in flight one way, as a socket buffer

// One direction of a memory connection.
struct Pipe {
  explicit Pipe(Loop& loop) : readable(loop), writable(loop) { writable.set(); }
  std::string bytes;
  bool finished = false;  // the writer ended in order
  bool broken = false;    // either end is gone or was broken
  Event readable;
  Event writable;
};

class MemoryStream;
class PolledPollable;

class SeededLoop : public SimLoop {
 public:
  explicit SeededLoop(std::uint64_t seed) : random_(seed), digest_(seed) {}
  ~SeededLoop() override = default;

  Instant now() override { return now_; }
  // A fixed morning, so that logs of one seed are equal.
  WallTime wall() override {
    return WallTime(1'767'225'600'000'000'000 + (now_.since_boot() + wall_jump_).count());
  }
  void jump_wall(Nanos by) override { wall_jump_ += by; }
  void stop() override { stopping_ = true; }
  void post(std::function<void()> work) override {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(work));
  }
  void run_for(Nanos span) override {
    limit_ = now_ + span;
    stopping_ = false;
    run();
  }
  bool run_steps(std::uint64_t steps) override {
    steps_left_ = steps;
    run_for(std::chrono::hours(1));
    const bool is_cut = stopping_ && has_ready();
    steps_left_ = kNoLimit;
    return is_cut;
  }
  std::uint64_t digest() const override { return digest_; }
  bool chance(std::uint64_t n) override { return draw(n) == 0; }
  std::uint64_t draw(std::uint64_t below) {
    const std::uint64_t value = random_.below(below);
    digest_ = (digest_ ^ value) * 0x100000001b3ULL;
    return value;
  }

  Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to, Deadline deadline) override;
  Result<std::unique_ptr<Listener>> listen(const Endpoint& at) override;
  std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> make_pair() override;
  void break_stream(Stream& stream) override;
  std::shared_ptr<Pollable> watch(Descriptor fd) override;
  void add_armed(std::shared_ptr<PolledPollable> pollable);

  struct Backlog {
    explicit Backlog(Loop& loop) : arrived(loop) {}
    std::deque<std::unique_ptr<Stream>> streams;
    Event arrived;
  };
  std::map<std::string, std::shared_ptr<Backlog>> listeners;

 protected:
  std::size_t pick(std::size_t count) override {
    if (steps_left_ == 0) {
      stopping_ = true;
      return count;
    }
    --steps_left_;
    return draw(count);
  }
  bool poll(Instant until) override {
    std::vector<std::function<void()>> work;
    {
      const std::lock_guard lock(mutex_);
      work.swap(posted_);
    }
    for (auto& item : work) item();
    poll_armed();
    if (stopping_) return false;
    if (!work.empty() || has_ready() || until <= now_) return true;
    if (until > limit_) {
      now_ = std::max(now_, limit_);
      return false;  // nothing will happen within the span
    }
    now_ = until;
    return true;
  }

 private:
  void poll_armed();

  SeededRandom random_;
  std::uint64_t digest_;
  Instant now_{std::chrono::seconds(1)};
  Nanos wall_jump_{0};
  Instant limit_{Nanos::max()};
  static constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};
  std::uint64_t steps_left_ = kNoLimit;
  bool stopping_ = false;
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;
  // Descriptors that are waited for. All their other ends are in this process and this thread, so
  // what is ready follows from the seed too.
  std::vector<std::shared_ptr<PolledPollable>> armed_;
};

class PolledPollable : public Pollable {
 public:
  PolledPollable(SeededLoop& loop, Descriptor fd)
      : Pollable(loop), loop_(&loop), fd_(std::move(fd)) {}
  [[nodiscard]] int fd() override { return fd_.get(); }
  void close() override { fd_.reset(); }
  // What to ask poll(2) for; nothing when it is not armed any more.
  [[nodiscard]] pollfd question() {
    short events = 0;
    if (is_armed(Direction::kRead)) events |= POLLIN;
    if (is_armed(Direction::kWrite)) events |= POLLOUT;
    return {fd_.get(), events, 0};
  }
  void answer(short events) {
    constexpr int kBroken = POLLERR | POLLHUP | POLLNVAL;
    if ((events & (POLLIN | kBroken)) != 0 && is_armed(Direction::kRead))
      (void)fired(Direction::kRead);
    if ((events & (POLLOUT | kBroken)) != 0 && is_armed(Direction::kWrite))
      (void)fired(Direction::kWrite);
  }

 private:
  void arm(Direction) override {
    loop_->add_armed(std::static_pointer_cast<PolledPollable>(shared_from_this()));
  }
  SeededLoop* loop_;
  Descriptor fd_;
};

void SeededLoop::add_armed(std::shared_ptr<PolledPollable> pollable) {
  if (std::find(armed_.begin(), armed_.end(), pollable) == armed_.end()) {
    armed_.push_back(std::move(pollable));
  }
}

void SeededLoop::poll_armed() {
  std::erase_if(armed_, [](const auto& pollable) {
    const pollfd question = pollable->question();
    return question.fd < 0 || question.events == 0;
  });
  std::vector<pollfd> questions;
  for (const auto& pollable : armed_) questions.push_back(pollable->question());
  if (::poll(questions.data(), questions.size(), 0) <= 0) return;
  for (std::size_t i = 0; i < questions.size(); ++i) armed_[i]->answer(questions[i].revents);
}

std::shared_ptr<Pollable> SeededLoop::watch(Descriptor fd) {
  return std::make_shared<PolledPollable>(*this, std::move(fd));
}

class MemoryStream : public Stream {
 public:
  MemoryStream(SeededLoop& loop, std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out,
               Endpoint local, Endpoint peer)
      : loop_(&loop),
        in_(std::move(in)),
        out_(std::move(out)),
        local_(std::move(local)),
        peer_(std::move(peer)) {}
  ~MemoryStream() override {
    // What was written in order may still be read; who writes to us finds us gone.
    if (!out_->finished) (reset_ ? out_->broken : out_->finished) = true;
    out_->readable.set();
    in_->broken = true;
    in_->writable.set();
  }

  Task<Result<std::size_t>> read(std::span<char> into, Deadline deadline) override {
    CO_TRY(co_await wait_readable(deadline));
    if (in_->broken && in_->bytes.empty()) {
      co_return failure(Error::kClosed, "the simulated peer broke the connection");
    }
    co_return take(into);
  }
  Task<Result<void>> write(std::string_view bytes, Deadline deadline) override {
    while (!bytes.empty()) {
      if (out_->broken || out_->finished) {
        co_return failure(Error::kClosed, "the simulated peer is gone");
      }
      const std::size_t put = write_now(bytes);
      bytes.remove_prefix(put);
      if (put == 0) CO_TRY(co_await out_->writable.wait(deadline));
    }
    co_return Result<void>();
  }
  Task<Result<void>> finish(Deadline) override {
    out_->finished = true;
    out_->readable.set();
    co_return Result<void>();
  }
  Task<Result<void>> wait_readable(Deadline deadline) override {
    while (in_->bytes.empty() && !in_->finished && !in_->broken) {
      in_->readable.reset();
      CO_TRY(co_await in_->readable.wait(deadline));
    }
    co_return Result<void>();
  }
  bool is_quiet() override { return in_->bytes.empty() && !in_->finished && !in_->broken; }
  Task<Result<void>> wait_writable(Deadline deadline) override {
    while (out_->bytes.size() >= kPipeMost && !out_->broken && !out_->finished) {
      CO_TRY(co_await out_->writable.wait(deadline));
    }
    co_return Result<void>();
  }
  std::size_t read_now(std::span<char> into) override {
    return in_->bytes.empty() ? 0 : take(into);
  }
  std::size_t peek_now(std::span<char> into) override {
    const std::size_t got = std::min(into.size(), in_->bytes.size());
    std::copy_n(in_->bytes.begin(), got, into.begin());
    return got;
  }
  std::size_t write_now(std::string_view bytes) override {
    if (out_->broken || out_->finished) return 0;
    const std::size_t room = kPipeMost - std::min(out_->bytes.size(), kPipeMost);
    std::size_t put = std::min(room, bytes.size());
    if (put > 1 && loop_->chance(4)) put = 1 + loop_->draw(put);
    out_->bytes.append(bytes.substr(0, put));
    if (out_->bytes.size() >= kPipeMost) out_->writable.reset();
    if (put > 0) out_->readable.set();
    return put;
  }
  [[nodiscard]] bool is_over() const override {
    const bool no_more = in_->bytes.empty() && (in_->finished || in_->broken);
    return no_more || out_->broken || out_->finished;
  }
  void close_with_reset() override { reset_ = true; }
  Endpoint peer() const override { return peer_; }
  Endpoint local() const override { return local_; }

  void break_now() {
    for (const auto& pipe : {in_, out_}) {
      pipe->broken = true;
      pipe->bytes.clear();
      pipe->readable.set();
      pipe->writable.set();
    }
  }

 private:
  std::size_t take(std::span<char> into) {
    std::size_t got = std::min(into.size(), in_->bytes.size());
    if (got > 1 && loop_->chance(4)) got = 1 + loop_->draw(got);
    std::copy_n(in_->bytes.begin(), got, into.begin());
    in_->bytes.erase(0, got);
    if (in_->bytes.size() < kPipeMost) in_->writable.set();
    return got;
  }

  SeededLoop* loop_;
  std::shared_ptr<Pipe> in_;
  std::shared_ptr<Pipe> out_;
  Endpoint local_;
  Endpoint peer_;
  bool reset_ = false;
};

class MemoryListener : public Listener {
 public:
  MemoryListener(SeededLoop& loop, Endpoint at, std::shared_ptr<SeededLoop::Backlog> backlog)
      : loop_(&loop), at_(std::move(at)), backlog_(std::move(backlog)) {}
  ~MemoryListener() override { loop_->listeners.erase(at_.text()); }
  Task<Result<std::unique_ptr<Stream>>> accept(Deadline deadline) override {
    while (backlog_->streams.empty()) {
      backlog_->arrived.reset();
      CO_TRY(co_await backlog_->arrived.wait(deadline));
    }
    std::unique_ptr<Stream> stream = std::move(backlog_->streams.front());
    backlog_->streams.pop_front();
    co_return stream;
  }
  Endpoint local() const override { return at_; }

 private:
  SeededLoop* loop_;
  Endpoint at_;
  std::shared_ptr<SeededLoop::Backlog> backlog_;
};

Task<Result<std::unique_ptr<Stream>>> SeededLoop::connect(Endpoint to, Deadline deadline) {
  if (to.kind == Endpoint::Kind::kUnix) co_return co_await connect_socket(*this, to, deadline);
  co_await sleep_for(std::chrono::microseconds(10 + draw(200)));
  if (now() > deadline.at()) co_return failure(Error::kTimeout, "connecting to " + to.text());
  const auto found = listeners.find(to.text());
  if (found == listeners.end()) {
    co_return failure(Error::kUnreachable, "connecting to " + to.text() + ": nobody listens there");
  }
  auto up = std::make_shared<Pipe>(*this);
  auto down = std::make_shared<Pipe>(*this);
  const Endpoint from = Endpoint::ip("127.0.0.1", 1);
  found->second->streams.push_back(std::make_unique<MemoryStream>(*this, up, down, to, from));
  found->second->arrived.set();
  co_return std::make_unique<MemoryStream>(*this, down, up, from, to);
}

Result<std::unique_ptr<Listener>> SeededLoop::listen(const Endpoint& at) {
  if (at.kind == Endpoint::Kind::kUnix) return listen_socket(*this, at);
  if (listeners.contains(at.text())) {
    return failure(Error::kConflict, "listening at " + at.text() + ": address already in use");
  }
  auto backlog = std::make_shared<Backlog>(*this);
  listeners[at.text()] = backlog;
  return std::make_unique<MemoryListener>(*this, at, backlog);
}

std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> SeededLoop::make_pair() {
  auto up = std::make_shared<Pipe>(*this);
  auto down = std::make_shared<Pipe>(*this);
  return {std::make_unique<MemoryStream>(*this, down, up, Endpoint{}, Endpoint{}),
          std::make_unique<MemoryStream>(*this, up, down, Endpoint{}, Endpoint{})};
}

void SeededLoop::break_stream(Stream& stream) {
  auto* memory = dynamic_cast<MemoryStream*>(&stream);
  CHECK(memory != nullptr);
  memory->break_now();
}

}  // namespace

std::unique_ptr<SimLoop> make_sim_loop(std::uint64_t seed) {
  return std::make_unique<SeededLoop>(seed);
}

}  // namespace gatehouse::net
