// SPDX-License-Identifier: Apache-2.0
#include "gateway/upstream.h"

#include <fmt/format.h>

#include "gateway/http1_upstream.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr std::size_t kIdleMost = 256;                // per destination
constexpr Nanos kIdleFor = std::chrono::seconds(55);  // below nginx's keepalive_timeout of 75 s
constexpr Nanos kConnectMost = std::chrono::seconds(10);

}  // namespace

std::string Upstreams::key_of(const Destination& to) const {
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", networks_, to.host, to.port, to.tls,
                     to.allow_private, to.ca_pem);
}

void Upstreams::use(const ipc::NetworkSpec& network) {
  if (network == egress_.network()) return;
  egress_.use(network);
  ++networks_;
  idle_.clear();
}

Task<Result<std::unique_ptr<UpstreamExchange>>> Upstreams::begin(Destination to, Reuse reuse,
                                                                 Deadline deadline) {
  Connection connection =
      CO_TRY(reuse == Reuse::kAllowed ? co_await acquire(std::move(to), deadline)
                                      : co_await acquire_new(std::move(to), deadline));
  co_return std::make_unique<Http1Upstream>(*this, std::move(connection));
}

Task<Result<Upstreams::Connection>> Upstreams::acquire(Destination to, Deadline deadline) {
  const std::string key = key_of(to);
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
  std::string key = key_of(to);
  auto stream = CO_TRY(co_await egress_.dial(std::move(to), dial_by));
  co_return Connection{std::move(stream), std::move(key), false};
}

void Upstreams::release(Connection connection) {
  if (!connection.key.starts_with(fmt::format("{}\n", networks_))) return;
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
