// SPDX-License-Identifier: Apache-2.0
#include "net/real_loop.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include "net/socket.h"

namespace gatehouse::net {
namespace {

namespace asio = boost::asio;

class AsioPollable : public Pollable {
 public:
  AsioPollable(asio::io_context& context, Loop& loop, Descriptor fd)
      : Pollable(loop), descriptor_(context, fd.release()) {}

  [[nodiscard]] int fd() override { return descriptor_.native_handle(); }
  void close() override {
    if (descriptor_.is_open()) {
      boost::system::error_code ignored;
      descriptor_.close(ignored);
    }
  }

 private:
  void arm(Direction direction) override {
    descriptor_.async_wait(
        direction == Direction::kRead ? asio::posix::stream_descriptor::wait_read
                                      : asio::posix::stream_descriptor::wait_write,
        [self = std::static_pointer_cast<AsioPollable>(shared_from_this()),
         direction](const boost::system::error_code&) { self->fired(direction); });
  }

  asio::posix::stream_descriptor descriptor_;
};

class AsioLoop : public Loop {
 public:
  Instant now() override { return Instant::now(); }
  WallTime wall() override { return WallTime::now(); }
  void stop() override {
    post([this] { stopping_ = true; });
  }
  void post(std::function<void()> work) override { asio::post(context_, std::move(work)); }

  Task<Result<std::unique_ptr<Stream>>> connect(Endpoint to, Deadline deadline) override {
    return connect_socket(*this, std::move(to), deadline);
  }
  Result<std::unique_ptr<Listener>> listen(const Endpoint& at) override {
    return listen_socket(*this, at);
  }
  std::shared_ptr<Pollable> watch(Descriptor fd) override {
    return std::make_shared<AsioPollable>(context_, *this, std::move(fd));
  }

 protected:
  bool poll(Instant until) override {
    if (context_.stopped()) context_.restart();
    const auto work = asio::make_work_guard(context_);
    if (until == Instant()) {
      context_.poll();
    } else {
      // Asio's clock and ours are both CLOCK_MONOTONIC; an hour bounds the wait of an idle Loop.
      const Nanos left = std::min<Nanos>(until - now(), std::chrono::hours(1));
      if (left.count() <= 0) {
        context_.poll();
      } else if (context_.run_one_for(left) > 0) {
        context_.poll();
      }
    }
    return !std::exchange(stopping_, false);
  }

 private:
  asio::io_context context_{1};  // one thread: no locking
  bool stopping_ = false;
};

}  // namespace

std::unique_ptr<Loop> make_real_loop() { return std::make_unique<AsioLoop>(); }

}  // namespace gatehouse::net
