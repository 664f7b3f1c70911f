// SPDX-License-Identifier: Apache-2.0
#include "net/resolve.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <optional>

namespace gatehouse::net {
namespace {

// One look-up's answer, shared with c-ares' callback, which may come after the asker was cancelled.
struct Answer {
  bool done = false;
  int status = 0;
  std::vector<Endpoint> addresses;
};

void take_answer(void* context, int status, int, ares_addrinfo* result) {
  const std::unique_ptr<std::shared_ptr<Answer>> held(
      static_cast<std::shared_ptr<Answer>*>(context));
  Answer& answer = **held;
  answer.done = true;
  answer.status = status;
  if (result == nullptr) return;
  for (const ares_addrinfo_node* node = result->nodes; node != nullptr; node = node->ai_next) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const void* address =
        node->ai_family == AF_INET
            ? static_cast<const void*>(&reinterpret_cast<sockaddr_in*>(node->ai_addr)->sin_addr)
            : &reinterpret_cast<sockaddr_in6*>(node->ai_addr)->sin6_addr;
    if (inet_ntop(node->ai_family, address, text.data(), text.size()) != nullptr) {
      answer.addresses.push_back(Endpoint::ip(text.data(), 0));
    }
  }
  ares_freeaddrinfo(result);
}

// A channel per look-up: cancelling the Task destroys it and every socket of it.
struct Channel {
  ares_channel channel = nullptr;
  ~Channel() {
    if (channel != nullptr) ares_destroy(channel);
  }
};

Task<void> wait_for(Loop* loop, int fd, Deadline deadline, Event* event) {
  (void)co_await loop->wait_readable(fd, deadline);
  event->set();
}

}  // namespace

class Resolver::Impl {
 public:
  explicit Impl(Loop& on) : loop(on) {}
  Loop& loop;
  Channel base;  // what was read from the system's files; each look-up duplicates it
};

Resolver::Resolver(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Resolver::~Resolver() = default;

Result<std::unique_ptr<Resolver>> Resolver::make(Loop& loop) {
  static std::once_flag once;
  std::call_once(once, [] { ares_library_init(ARES_LIB_INIT_ALL); });
  auto impl = std::make_unique<Impl>(loop);
  ares_options options{};
  options.timeout = 2000;  // milliseconds for the first try of a server
  options.tries = 3;
  if (ares_init_options(&impl->base.channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES)
      != ARES_SUCCESS) {
    return failure(Error::kInternal, "the resolver cannot read the system's settings");
  }
  return std::unique_ptr<Resolver>(new Resolver(std::move(impl)));
}

Task<Result<std::vector<Endpoint>>> Resolver::resolve(std::string host, std::uint16_t port,
                                                      Deadline deadline) {
  std::array<unsigned char, 16> literal{};
  if (inet_pton(AF_INET, host.c_str(), literal.data()) == 1
      || inet_pton(AF_INET6, host.c_str(), literal.data()) == 1) {
    co_return std::vector<Endpoint>{Endpoint::ip(host, port)};
  }
  Channel mine;
  if (ares_dup(&mine.channel, impl_->base.channel) != ARES_SUCCESS) {
    co_return failure(Error::kExhausted, "the resolver has no memory left");
  }
  const auto answer = std::make_shared<Answer>();
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  ares_getaddrinfo(mine.channel, host.c_str(), nullptr, &hints, take_answer,
                   new std::shared_ptr<Answer>(answer));
  while (!answer->done) {
    if (impl_->loop.now() >= deadline.at()) {
      co_return failure(Error::kTimeout, "looking up " + host + " took too long");
    }
    std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
    const int usable = ares_getsock(mine.channel, sockets.data(), static_cast<int>(sockets.size()));
    timeval most{1, 0};
    timeval left{};
    ares_timeout(mine.channel, &most, &left);
    const Deadline until(std::min(deadline.at(), impl_->loop.now()
                                                     + std::chrono::seconds(left.tv_sec)
                                                     + std::chrono::microseconds(left.tv_usec)));
    Event some(impl_->loop);
    {
      Nursery waits(impl_->loop);
      for (std::size_t i = 0; i < sockets.size(); ++i) {
        if (ARES_GETSOCK_READABLE(usable, i)) {
          waits.spawn(wait_for(&impl_->loop, sockets[i], until, &some));
        }
      }
      (void)co_await some.wait(until);
    }
    bool any = false;
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      if (!ARES_GETSOCK_READABLE(usable, i)) continue;
      ares_process_fd(mine.channel, sockets[i], ARES_SOCKET_BAD);
      any = true;
    }
    if (!any) ares_process_fd(mine.channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  }
  if (answer->addresses.empty()) {
    co_return failure(Error::kUnreachable,
                      "looking up " + host + ": " + ares_strerror(answer->status));
  }
  std::vector<Endpoint> addresses;
  for (const bool v6 : {false, true}) {
    for (const Endpoint& address : answer->addresses) {
      if (address.host.contains(':') == v6) addresses.push_back(address);
    }
  }
  for (Endpoint& address : addresses) address.port = port;
  co_return addresses;
}

}  // namespace gatehouse::net
