// SPDX-License-Identifier: Apache-2.0
// Channel: one connection between two roles. Both sides may ask and answer; requests are pipelined.
// What a side answers is its permit table (request -> handler -> allowed now?), as OpenSSH's
// monitor has: anything else closes the connection, is counted and logged.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "ipc/codec.h"
#include "ipc/message.h"
#include "net/nursery.h"
#include "net/stream.h"

namespace gatehouse::ipc {

// A message as it travels: its type, its payload, the descriptors beside it.
struct Parcel {
  MessageType type = 0;
  std::string payload;
  std::vector<net::Descriptor> fds;  // at most 16
};

class Permits {
 public:
  using Handler = std::function<net::Task<Result<Parcel>>(Parcel)>;
  using Allowed = std::function<bool()>;

  // Answers `Request` by `handler(Request, std::vector<Descriptor>) ->
  // Task<Result<Request::Reply>>`.
  template <class Request, class Callable>
  void on(Callable handler, Allowed allowed_now = [] { return true; });
  // The same for replies that carry descriptors: handler yields Result<std::pair<Reply,
  // std::vector<Descriptor>>>.
  template <class Request, class Callable>
  void on_with_fds(Callable handler, Allowed allowed_now = [] { return true; });

 private:
  friend class Channel;
  struct Row {
    Handler handler;
    Allowed allowed_now;
  };
  std::unordered_map<MessageType, Row> rows_;
};

class Channel {
 public:
  // `permits` must outlive the Channel. `peer` names the other side in logs.
  Channel(net::Loop& loop, std::unique_ptr<net::LocalStream> stream, std::string peer,
          const Permits& permits);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Asks and waits for the answer. Errors: what the other side refused with; kUnavailable when the
  // connection is gone; kTimeout.
  template <class Request>
  [[nodiscard]] net::Task<Result<typename Request::Reply>> call(Request request, Deadline deadline);
  struct Answer;
  [[nodiscard]] net::Task<Result<Parcel>> exchange(Parcel request, std::span<const int> fds,
                                                   Deadline deadline);

  [[nodiscard]] bool is_open() const;
  [[nodiscard]] const std::string& peer() const;
  // Returns when the connection has ended; the Channel may go before.
  [[nodiscard]] net::Task<void> closed();
  // Told once when the other side asks what no row permits, or sends what is no message: the
  // connection is closed then.
  void on_breach(std::function<void(const Error&)> told);

 private:
  class Impl;
  // Shared with the calls that are under way: when the Channel goes, they end as kUnavailable
  // instead of dangling.
  std::shared_ptr<Impl> impl_;
};

// Requests refused because no permit row allowed them, since the process began.
unsigned long unpermitted_requests();

template <class Message>
[[nodiscard]] Parcel parcel_of(Message& message) {
  return {Message::kType, encode(message), {}};
}

namespace detail {
template <class Request, class Callable>
net::Task<Result<Parcel>> answer(Callable* handler, Parcel parcel) {
  Request request = CO_TRY(decode<Request>(parcel.payload));
  typename Request::Reply reply =
      CO_TRY(co_await (*handler)(std::move(request), std::move(parcel.fds)));
  co_return parcel_of(reply);
}
template <class Request, class Callable>
net::Task<Result<Parcel>> answer_with_fds(Callable* handler, Parcel parcel) {
  Request request = CO_TRY(decode<Request>(parcel.payload));
  auto reply = CO_TRY(co_await (*handler)(std::move(request), std::move(parcel.fds)));
  Parcel out = parcel_of(reply.first);
  out.fds = std::move(reply.second);
  co_return out;
}
}  // namespace detail

template <class Request, class Callable>
void Permits::on(Callable handler, Allowed allowed_now) {
  auto shared =
      std::make_shared<Callable>(std::move(handler));  // std::function wants a copyable target
  rows_[Request::kType] = {[shared](Parcel parcel) {
                             return detail::answer<Request, Callable>(shared.get(),
                                                                      std::move(parcel));
                           },
                           std::move(allowed_now)};
}

template <class Request, class Callable>
void Permits::on_with_fds(Callable handler, Allowed allowed_now) {
  auto shared = std::make_shared<Callable>(std::move(handler));
  rows_[Request::kType] = {[shared](Parcel parcel) {
                             return detail::answer_with_fds<Request, Callable>(shared.get(),
                                                                               std::move(parcel));
                           },
                           std::move(allowed_now)};
}

template <class Request>
net::Task<Result<typename Request::Reply>> Channel::call(Request request, Deadline deadline) {
  Parcel reply = CO_TRY(co_await exchange(parcel_of(request), {}, deadline));
  if (reply.type != Request::Reply::kType) {
    co_return failure(Error::kUnavailable, peer() + " answered with a message of another type");
  }
  co_return decode<typename Request::Reply>(reply.payload);
}

}  // namespace gatehouse::ipc
