// SPDX-License-Identifier: Apache-2.0
#include "gateway/intercept.h"

#include "ipc/gateway_vault.h"

namespace gatehouse::gateway {
namespace {

constexpr std::size_t kKeptMost = 4096;
constexpr std::int64_t kRenewBefore_s = 3600;

}  // namespace

net::Task<Result<std::shared_ptr<net::TlsServer>>> Interceptor::server_for(ipc::RunSpec run,
                                                                           std::string host,
                                                                           Deadline deadline) {
  const std::string key = run.tenant + "\n" + host;
  const std::int64_t now_s = role_.loop().wall().unix_seconds();
  // Agents judge a leaf by the wall clock; one that is set back makes it one of the future.
  if (const auto found = kept_.find(key); found != kept_.end() && found->second.until_unix_s > now_s
                                          && found->second.since_unix_s <= now_s) {
    co_return found->second.server;
  }
  ipc::Leaf ask;
  ask.run = run.run;
  ask.host = host;
  ipc::LeafIssued leaf = CO_TRY(co_await role_.call("vault", std::move(ask), deadline));
  const net::TlsIdentity identity{std::move(leaf.certificate_pem), std::move(leaf.private_key_pem)};
  std::shared_ptr<net::TlsServer> server =
      CO_TRY(net::TlsServer::make({.identity = &identity, .http2 = true}));
  if (kept_.size() >= kKeptMost) kept_.clear();
  kept_[key] = {server, now_s, leaf.not_after_unix_s - kRenewBefore_s};
  co_return server;
}

}  // namespace gatehouse::gateway
