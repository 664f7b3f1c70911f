// SPDX-License-Identifier: Apache-2.0
#include "gateway/upstream.h"

#include <fmt/format.h>

#include "wire/address.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr std::size_t kIdleMost = 256;                // per destination
constexpr Nanos kIdleFor = std::chrono::seconds(55);  // below nginx's keepalive_timeout of 75 s
constexpr Nanos kConnectMost = std::chrono::seconds(10);

bool may_dial(const net::Endpoint& endpoint, const Destination& to) {
  const auto address = wire::IpAddress::parse(endpoint.host);
  if (!address) return false;
  switch (wire::address_class(*address)) {
    case wire::AddressClass::kPublic:
      return true;
    case wire::AddressClass::kLoopback:
    case wire::AddressClass::kPrivate:
    case wire::AddressClass::kCgnat:
      return to.allow_private;
    default:
      return false;  // metadata, link-local, multicast, reserved: never
  }
}

std::string class_of(const net::Endpoint& endpoint) {
  const auto address = wire::IpAddress::parse(endpoint.host);
  return address ? std::string(wire::label(wire::address_class(*address))) : "unknown";
}

}  // namespace

std::string Destination::key() const {
  return fmt::format("{}\n{}\n{}\n{}\n{}", host, port, tls, allow_private, ca_pem);
}

Task<Result<Upstreams::Connection>> Upstreams::acquire(Destination to, Deadline deadline) {
  const std::string key = to.key();
  std::deque<Idle>& idle = idle_[key];
  while (!idle.empty()) {
    Idle candidate = std::move(idle.back());  // the one used last: the likeliest to be alive
    idle.pop_back();
    if (candidate.until < loop_.now()) {
      idle.clear();
      break;
    }
    // A server that closed it, or spoke out of turn, shows here.
    if (candidate.stream->is_quiet()) {
      co_return Connection{std::move(candidate.stream), key, true};
    }
  }
  co_return co_await acquire_new(std::move(to), deadline);
}

Task<Result<Upstreams::Connection>> Upstreams::acquire_new(Destination to, Deadline deadline) {
  const Deadline dial_by(std::min(deadline.at(), loop_.now() + kConnectMost));
  auto stream = CO_TRY(co_await dial(to, dial_by));
  co_return Connection{std::move(stream), to.key(), false};
}

Task<Result<std::unique_ptr<net::Stream>>> Upstreams::dial(const Destination& to,
                                                           Deadline deadline) {
  const auto addresses = CO_TRY(co_await resolver_.resolve(to.host, to.port, deadline));
  for (const net::Endpoint& address : addresses) {
    if (!may_dial(address, to)) {
      co_return failure(
          Error::kDenied,
          fmt::format("{} is at {}, which is {}; set allow_private for the service if "
                      "it is meant to be there (never possible for metadata services)",
                      to.host, address.host, class_of(address)));
    }
  }
  Error last(Error::kUnreachable, to.host + " has no address");
  for (const net::Endpoint& address : addresses) {
    auto socket = co_await loop_.connect(address, deadline);
    if (!socket) {
      last = socket.error();
      continue;
    }
    if (!to.tls) co_return std::move(*socket);
    auto& client = tls_[to.ca_pem];
    if (!client) client = CO_TRY(net::TlsClient::make({.extra_ca_pem = to.ca_pem}));
    co_return co_await client->connect(loop_, std::move(*socket), to.host, deadline);
  }
  co_return Failure(std::move(last));
}

void Upstreams::release(Connection connection) {
  std::deque<Idle>& idle = idle_[connection.key];
  if (idle.size() >= kIdleMost) idle.pop_front();
  idle.push_back({std::move(connection.stream), loop_.now() + kIdleFor});
}

std::size_t Upstreams::idle() const {
  std::size_t count = 0;
  for (const auto& [key, list] : idle_) count += list.size();
  return count;
}

}  // namespace gatehouse::gateway
