// SPDX-License-Identifier: Apache-2.0
#include "net/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netfilter_ipv4.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace gatehouse::net {

void Pollable::Awaiter::await_suspend(std::coroutine_handle<> handle) {
  CHECK(slot_->waiter == nullptr);  // one reader and one writer at a time
  slot_->waiter = &waiter_;
  waiter_.park(handle, deadline_);
  if (slot_->armed) return;
  slot_->armed = true;
  pollable_->arm(direction_);
}

Result<void> Pollable::Awaiter::await_resume() {
  if (slot_->waiter == &waiter_) slot_->waiter = nullptr;
  if (waiter_.timed_out()) {
    return failure(Error::kTimeout, direction_ == Direction::kRead
                                        ? "nothing came before the deadline"
                                        : "the peer took nothing before the deadline");
  }
  return {};
}

bool Pollable::fired(Direction direction) {
  Slot& mine = slot(direction);
  mine.armed = false;
  if (mine.waiter == nullptr || !mine.waiter->is_parked()) return false;
  mine.waiter->wake();
  return true;
}

namespace {

constexpr std::size_t kDescriptorsMost = 16;  // beside one message

Endpoint endpoint_of(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
    inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
    return Endpoint::ip(text.data(), ntohs(v4->sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
    inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
    return Endpoint::ip(text.data(), ntohs(v6->sin6_port));
  }
  return Endpoint::unix_path("");
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

Result<Address> address_of(const Endpoint& endpoint) {
  Address address;
  if (endpoint.kind == Endpoint::Kind::kUnix) {
    auto* local = reinterpret_cast<sockaddr_un*>(&address.storage);
    if (endpoint.host.size() >= sizeof local->sun_path) {
      return failure(Error::kInvalid, "a unix socket's path has more than 107 bytes: "
                                          + endpoint.host + "; choose a shorter data directory");
    }
    local->sun_family = AF_UNIX;
    std::memcpy(local->sun_path, endpoint.host.data(), endpoint.host.size());
    address.size =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + endpoint.host.size() + 1);
    return address;
  }
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, endpoint.host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(endpoint.port);
    address.size = sizeof *v4;
  } else if (inet_pton(AF_INET6, endpoint.host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(endpoint.port);
    address.size = sizeof *v6;
  } else {
    return failure(Error::kInvalid, "not an IP address: " + endpoint.host);
  }
  return address;
}

// Two texts to be sent, one behind the other.
struct Texts {
  std::string_view first;
  std::string_view second;

  void remove_prefix(std::size_t bytes) {
    const std::size_t of_first = std::min(bytes, first.size());
    first.remove_prefix(of_first);
    second.remove_prefix(bytes - of_first);
  }
};

// One send(2) or sendmsg(2) among those of a turn.
class Send : public AtTurnEnd {
 public:
  Send(Loop& loop, int fd, Texts texts) : AtTurnEnd(loop), fd_(fd), texts_(texts) {}
  ssize_t put = -1;
  int error = 0;  // where `put` is negative

 private:
  void act() override {
    put = texts_.second.empty() ? send(texts_.first) : send_both();
    error = errno;
  }
  ssize_t send(std::string_view text) const {
    return ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
  }
  ssize_t send_both() const {
    if (texts_.first.empty()) return send(texts_.second);
    const auto part = [](std::string_view text) {
      return iovec{const_cast<char*>(text.data()), text.size()};
    };
    std::array<iovec, 2> parts = {part(texts_.first), part(texts_.second)};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    return ::sendmsg(fd_, &message, MSG_NOSIGNAL);
  }
  int fd_;
  Texts texts_;
};

class SocketStream : public LocalStream {
 public:
  explicit SocketStream(std::shared_ptr<Pollable> pollable) : pollable_(std::move(pollable)) {}
  ~SocketStream() override { pollable_->close(); }

  Task<Result<std::size_t>> read(std::span<char> into, Deadline deadline) override {
    if (loop().has_had_its_share()) CO_TRY(co_await loop().give_way(deadline));
    while (true) {
      if (pollable_->is_drained(Direction::kRead)) {
        CO_TRY(co_await pollable_->wait(Direction::kRead, deadline));
      }
      const ssize_t got = ::recv(fd(), into.data(), into.size(), 0);
      if (got >= 0) {
        const auto size = static_cast<std::size_t>(got);
        if (size < into.size()) pollable_->drained(Direction::kRead);
        co_return size;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN) co_return failure_from_errno(errno, "reading from " + peer().text());
      pollable_->drained(Direction::kRead);
      CO_TRY(co_await pollable_->wait(Direction::kRead, deadline));
    }
  }
  Task<Result<void>> write(std::string_view bytes, Deadline deadline) override {
    return write_both(bytes, {}, deadline);
  }
  Task<Result<void>> write_both(std::string_view first, std::string_view second,
                                Deadline deadline) override {
    Texts texts{first, second};
    while (!texts.first.empty() || !texts.second.empty()) {
      Send send(loop(), fd(), texts);
      co_await send;
      if (send.put >= 0) {
        texts.remove_prefix(static_cast<std::size_t>(send.put));
        continue;
      }
      if (send.error == EINTR) continue;
      if (send.error != EAGAIN) {
        co_return failure_from_errno(send.error, "writing to " + peer().text());
      }
      pollable_->drained(Direction::kWrite);
      CO_TRY(co_await pollable_->wait(Direction::kWrite, deadline));
    }
    co_return Result<void>();
  }
  Task<Result<void>> finish(Deadline) override {
    if (::shutdown(fd(), SHUT_WR) != 0 && errno != ENOTCONN) {
      co_return failure_from_errno(errno, "ending a stream");
    }
    co_return Result<void>();
  }
  Task<Result<void>> wait_readable(Deadline deadline) override {
    bool is_told = false;  // what the Loop tells need not be asked of the system
    while (pollable_->is_drained(Direction::kRead) || (!is_told && finds_nothing())) {
      is_told = pollable_->is_drained(Direction::kRead);
      CO_TRY(co_await pollable_->wait(Direction::kRead, deadline));
    }
    co_return Result<void>();
  }
  bool is_quiet() override {
    if (pollable_->is_drained(Direction::kRead)) return true;
    char probe = 0;
    return ::recv(fd(), &probe, 1, MSG_PEEK) < 0 && errno == EAGAIN;
  }
  Task<Result<void>> wait_writable(Deadline deadline) override {
    co_return co_await pollable_->wait(Direction::kWrite, deadline);
  }
  [[nodiscard]] int native_handle() const override { return fd(); }
  std::size_t read_now(std::span<char> into) override {
    const ssize_t got = ::recv(fd(), into.data(), into.size(), 0);
    is_over_ |= got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  std::size_t peek_now(std::span<char> into) override {
    const ssize_t got = ::recv(fd(), into.data(), into.size(), MSG_PEEK);
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  std::size_t write_now(std::string_view bytes) override {
    const ssize_t put = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    is_over_ |= put < 0 && errno != EAGAIN && errno != EINTR;
    return put > 0 ? static_cast<std::size_t>(put) : 0;
  }
  [[nodiscard]] bool is_over() const override { return is_over_; }
  Task<Result<std::size_t>> read_with(std::span<char> into, std::vector<Descriptor>& fds,
                                      Deadline deadline) override {
    if (loop().has_had_its_share()) CO_TRY(co_await loop().give_way(deadline));
    while (true) {
      iovec part{into.data(), into.size()};
      alignas(cmsghdr) std::array<char, CMSG_SPACE(kDescriptorsMost * sizeof(int))> control{};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      const ssize_t got = ::recvmsg(fd(), &message, MSG_CMSG_CLOEXEC);
      if (got >= 0) {
        const std::size_t before = fds.size();
        take_fds(message, fds);
        if ((message.msg_flags & MSG_CTRUNC) != 0) {
          if (fds.size() - before >= kDescriptorsMost) {
            co_return failure(Error::kInvalid,
                              "more descriptors came with a message than are allowed");
          }
          fds.resize(before);
          fds.emplace_back();
        }
        co_return static_cast<std::size_t>(got);
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN) co_return failure_from_errno(errno, "reading from a local peer");
      pollable_->drained(Direction::kRead);
      CO_TRY(co_await pollable_->wait(Direction::kRead, deadline));
    }
  }
  Task<Result<void>> write_with(std::string_view bytes, std::span<const int> fds,
                                Deadline deadline) override {
    CHECK(!bytes.empty() && fds.size() <= 16);
    while (!fds.empty()) {
      iovec part{const_cast<char*>(bytes.data()), bytes.size()};
      alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(fds.size_bytes());
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(fds.size_bytes());
      std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
      const ssize_t put = ::sendmsg(fd(), &message, MSG_NOSIGNAL);
      if (put > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(put));
        fds = {};
        break;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN) co_return failure_from_errno(errno, "writing to a local peer");
      pollable_->drained(Direction::kWrite);
      CO_TRY(co_await pollable_->wait(Direction::kWrite, deadline));
    }
    co_return co_await write(bytes, deadline);
  }
  void disconnect() override { ::shutdown(fd(), SHUT_RDWR); }
  void close_with_reset() override {
    const linger hard{1, 0};
    ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
  [[nodiscard]] Endpoint peer() const override {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getpeername(fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
    return endpoint_of(address);
  }
  // For a connection that netfilter redirected: where it was meant to go.
  [[nodiscard]] Endpoint local() const override {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    constexpr int kIp6OriginalDestination =
        80;  // IP6T_SO_ORIGINAL_DST, linux/netfilter_ipv6/ip6_tables.h
    if (::getsockopt(fd(), SOL_IP, SO_ORIGINAL_DST, &address, &size) == 0)
      return endpoint_of(address);
    size = sizeof address;
    if (::getsockopt(fd(), SOL_IPV6, kIp6OriginalDestination, &address, &size) == 0) {
      return endpoint_of(address);
    }
    size = sizeof address;
    if (::getsockname(fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
    return endpoint_of(address);
  }

 private:
  [[nodiscard]] int fd() const { return pollable_->fd(); }
  [[nodiscard]] Loop& loop() const { return pollable_->loop(); }
  bool finds_nothing() {
    char probe = 0;
    ssize_t got = 0;
    do {
      got = ::recv(fd(), &probe, 1, MSG_PEEK);
    } while (got < 0 && errno == EINTR);
    if (got >= 0 || errno != EAGAIN) return false;
    pollable_->drained(Direction::kRead);
    return true;
  }
  static void take_fds(msghdr& message, std::vector<Descriptor>& fds) {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int received = -1;
        std::memcpy(&received, CMSG_DATA(header) + i * sizeof(int), sizeof received);
        fds.emplace_back(received);
      }
    }
  }

  std::shared_ptr<Pollable> pollable_;
  bool is_over_ = false;
};

class SocketListener : public Listener {
 public:
  SocketListener(Loop& loop, std::shared_ptr<Pollable> pollable)
      : loop_(&loop), pollable_(std::move(pollable)) {}
  ~SocketListener() override { pollable_->close(); }

  Task<Result<std::unique_ptr<Stream>>> accept(Deadline deadline) override {
    if (loop_->has_had_its_share()) CO_TRY(co_await loop_->give_way(deadline));
    while (true) {
      Descriptor accepted(
          ::accept4(pollable_->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (accepted.is_open()) {
        const int on = 1;
        ::setsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        co_return std::make_unique<SocketStream>(loop_->watch(std::move(accepted)));
      }
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno != EAGAIN) co_return failure_from_errno(errno, "accepting a connection");
      pollable_->drained(Direction::kRead);
      CO_TRY(co_await pollable_->wait(Direction::kRead, deadline));
    }
  }
  [[nodiscard]] Endpoint local() const override {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(pollable_->fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
      return {};
    return endpoint_of(address);
  }

 private:
  Loop* loop_;
  std::shared_ptr<Pollable> pollable_;
};

// A descriptor that stays the caller's, watched in a copy for one wait.
struct Borrowed {
  std::shared_ptr<Pollable> pollable;
  ~Borrowed() { pollable->close(); }
};

Error unreachable(const Endpoint& to, int error) {
  return {error == ETIMEDOUT ? Error::kTimeout : Error::kUnreachable,
          "connecting to " + to.text() + ": " + std::strerror(error)};
}

Result<void> make_nonblocking(const Descriptor& fd) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return failure_from_errno(errno, "adopting a descriptor");
  }
  return {};
}

}  // namespace

Task<Result<std::unique_ptr<Stream>>> connect_socket(Loop& loop, Endpoint to, Deadline deadline) {
  const Address address = CO_TRY(address_of(to));
  Descriptor fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) co_return failure_from_errno(errno, "opening a socket");
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const int raw = fd.get();
  if (::connect(raw, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0) {
    if (errno != EINPROGRESS) co_return Failure(unreachable(to, errno));
    // Ours until it is connected: closed when it is not, or when this is cancelled.
    auto stream = std::make_unique<SocketStream>(loop.watch(std::move(fd)));
    const Result<void> ready = co_await stream->wait_writable(deadline);
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(raw, SOL_SOCKET, SO_ERROR, &error, &size);
    if (!ready || error != 0) co_return Failure(unreachable(to, ready ? error : ETIMEDOUT));
    co_return stream;
  }
  co_return std::make_unique<SocketStream>(loop.watch(std::move(fd)));
}

Result<std::unique_ptr<Listener>> listen_socket(Loop& loop, const Endpoint& at) {
  const Address address = TRY(address_of(at));
  Descriptor fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) return failure_from_errno(errno, "opening a socket");
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0
      || ::listen(fd.get(), 4096) != 0) {
    return failure_from_errno(errno, "listening at " + at.text());
  }
  return std::make_unique<SocketListener>(loop, loop.watch(std::move(fd)));
}

Result<std::unique_ptr<Stream>> Loop::adopt_stream(Descriptor fd) {
  return std::unique_ptr<Stream>(TRY(adopt_local(std::move(fd))));
}

Result<std::unique_ptr<LocalStream>> Loop::adopt_local(Descriptor fd) {
  TRY(make_nonblocking(fd));
  return std::make_unique<SocketStream>(watch(std::move(fd)));
}

Result<std::unique_ptr<Listener>> Loop::adopt_listener(Descriptor fd) {
  TRY(make_nonblocking(fd));
  return std::make_unique<SocketListener>(*this, watch(std::move(fd)));
}

Task<Result<void>> Loop::wait_readable(int fd, Deadline deadline) {
  constexpr Nanos kLookAgain = std::chrono::milliseconds(20);
  while (true) {
    Descriptor copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (copy.is_open()) {
      const Borrowed borrowed{watch(std::move(copy))};
      co_return co_await borrowed.pollable->wait(Direction::kRead, deadline);
    }
    if (errno != EMFILE && errno != ENFILE) {
      co_return failure_from_errno(errno, "duplicating a descriptor");
    }
    // No number is left for a copy. Whoever waits for a bell must not take that for its end: it is
    // looked at now and then, until there is one.
    pollfd look{fd, POLLIN, 0};
    if (::poll(&look, 1, 0) != 0) co_return Result<void>();
    if (now() >= deadline.at()) co_return failure(Error::kTimeout, "nothing came in time");
    co_await sleep_for(kLookAgain);
  }
}

Result<std::pair<Descriptor, Descriptor>> make_socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return failure_from_errno(errno, "making a socket pair");
  }
  return std::pair(Descriptor(ends[0]), Descriptor(ends[1]));
}

std::unique_ptr<LocalStream> as_local(std::unique_ptr<Stream> stream) {
  auto* local = dynamic_cast<LocalStream*>(stream.get());
  CHECK(local != nullptr);
  static_cast<void>(stream.release());
  return std::unique_ptr<LocalStream>(local);
}

Result<std::uint32_t> peer_uid(const Stream& stream) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(stream.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return failure_from_errno(errno, "asking who is at the other end");
  }
  return credentials.uid;
}

}  // namespace gatehouse::net
