// SPDX-License-Identifier: Apache-2.0
#include "supervisor/joiner.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/log.h"
#include "ipc/supervisor.h"

namespace gatehouse::supervisor {

using net::Task;

namespace {

constexpr Nanos kAnswerMost = 10s;  // for a role to take what it is given
constexpr Nanos kAgain = 1s;

}  // namespace

bool are_peers(const Child& a, const Child& b) {
  const auto names = [](const Child& one, const Child& other) {
    const auto& peers = one.spec.peers;
    return std::find(peers.begin(), peers.end(), other.spec.name) != peers.end();
  };
  return names(a, b) || names(b, a);
}

Result<net::Descriptor> copy_of(int fd) {
  net::Descriptor copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy.is_open()) return failure_from_errno(errno, "copying a descriptor");
  return copy;
}

void Joiner::give(const std::string& to, const std::string& what, Make make) {
  nursery_.spawn(keep_giving(to, what, std::move(make)));
}
void Joiner::join(const std::string& a, const std::string& b) {
  nursery_.spawn(keep_joining(a, b));
}
void Joiner::connect(const std::string& to, std::function<void(net::Descriptor)> ours) {
  nursery_.spawn(keep_connecting(to, std::move(ours)));
}

Result<void> Joiner::join_again(const std::string& role, const std::string& peer) {
  const auto other = children_.find(peer);
  if (other == children_.end() || !are_peers(children_.at(role), other->second)) {
    return failure(Error::kDenied, "it is not a peer of this role");
  }
  const Instant now = loop_.now();
  const auto [last, is_first] = rejoined_.try_emplace({role, peer}, now);
  if (!is_first && now - last->second < kAgain) return {};
  last->second = now;
  if (other->second.furnished) join(role, peer);
  return {};
}

Task<void> Joiner::keep_giving(std::string to, std::string what, Make make) {
  const pid_t pid = children_.at(to).pid;
  while (children_.at(to).pid == pid) {
    const Result<void> given = co_await hand(to, ipc::GiveDescriptor{what}, make());
    if (given) co_return;
    log_warning("a role did not take what it was given",
                {{"name", to}, {"what", what}, {"why", given.error().message()}});
    if (given.error() == Error::kInvalid) co_return;
    co_await loop_.sleep_for(kAgain);
  }
}

Task<void> Joiner::keep_joining(std::string a, std::string b) {
  const std::pair pids(children_.at(a).pid, children_.at(b).pid);
  while (pids == std::pair(children_.at(a).pid, children_.at(b).pid)) {
    const Result<void> joined = co_await try_join(a, b);
    if (joined) co_return;
    log_warning("two roles are not joined yet",
                {{"one", a}, {"other", b}, {"why", joined.error().message()}});
    co_await loop_.sleep_for(kAgain);
  }
}
Task<Result<void>> Joiner::try_join(std::string a, std::string b) {
  auto ends = CO_TRY(net::make_socket_pair());
  CO_TRY(co_await hand(a, ipc::AttachPeer{b, true}, std::move(ends.first)));
  co_return co_await hand(b, ipc::AttachPeer{a, false}, std::move(ends.second));
}

Task<void> Joiner::keep_connecting(std::string to, std::function<void(net::Descriptor)> ours) {
  const pid_t pid = children_.at(to).pid;
  while (children_.at(to).pid == pid) {
    auto connected = co_await try_connect(to);
    if (connected) co_return ours(std::move(*connected));
    log_warning("no line to a role", {{"name", to}, {"why", connected.error().message()}});
    co_await loop_.sleep_for(kAgain);
  }
}
Task<Result<net::Descriptor>> Joiner::try_connect(std::string to) {
  auto ends = CO_TRY(net::make_socket_pair());
  CO_TRY(co_await hand(to, ipc::AttachPeer{"supervisor", false}, std::move(ends.first)));
  co_return std::move(ends.second);
}

template <class Message>
Task<Result<void>> Joiner::hand(std::string to, Message message, Result<net::Descriptor> given) {
  const net::Descriptor mine = CO_TRY(std::move(given));
  ipc::Channel* channel = children_.at(to).channel.get();
  if (channel == nullptr) co_return failure(Error::kUnavailable, to + " is away");
  const std::array<int, 1> fds = {mine.get()};
  CO_TRY(co_await channel->exchange(ipc::parcel_of(message), fds, loop_.in(kAnswerMost)));
  co_return Result<void>();
}

}  // namespace gatehouse::supervisor
