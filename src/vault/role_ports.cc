// SPDX-License-Identifier: Apache-2.0
#include "vault/role_ports.h"

#include "audit/entry.h"
#include "base/log.h"
#include "ipc/any_audit.h"
#include "ipc/ring.h"

namespace gatehouse::vault {
namespace {

using net::Task;

constexpr Nanos kRecordMost = std::chrono::seconds(2);
constexpr std::size_t kUnderWayMost = 1024;  // Entries that the log has not confirmed yet

audit::Entry entry_of(const Use& use, net::Loop& loop) {
  audit::Entry entry;
  entry.kind = audit::Kind::kVaultUse;
  entry.wall_ns = loop.wall().unix_nanos();
  entry.monotonic_ns = loop.now().since_boot().count();
  entry.role = "vault";
  entry.tenant = use.tenant;
  entry.run = use.run;
  entry.trace = use.trace;
  entry.exchange = use.exchange;
  entry.add("use", use.what);
  entry.add("user", use.user);
  if (!use.service.empty()) entry.add("service", use.service);
  entry.add("host", use.host);
  if (!use.method.empty()) entry.add("method", use.method);
  if (!use.path.empty()) entry.add("path", use.path);
  if (use.lease != ipc::no_lease()) entry.add("lease", use.lease.text());
  if (!use.fingerprint.empty()) entry.add("fingerprint", use.fingerprint);
  return entry;
}

}  // namespace

void RolePorts::serve(Service& service) {
  permit_control(control_, service);
  role_.serve("control", control_);
  role_.serve_each("gateway", [this, &service](const std::string& name) -> const ipc::Permits& {
    const auto [found, is_new] = gateways_.try_emplace(name);
    if (is_new) permit_gateway(found->second.permits, service, name);
    return found->second.permits;
  });
  role_.on_peer("gateway", [this, &service](ipc::Channel& arrived) {
    Gateway& gateway = gateways_.at(arrived.peer());
    if (gateway.arrivals > 0) (void)service.end_leases_of(arrived.peer());
    tasks_.spawn(end_leases_with(arrived.closed(), &service, arrived.peer(), ++gateway.arrivals));
  });
  role_.on_descriptor("kill-table", [this](net::Descriptor fd) {
    auto table = ipc::KillTableReader::open(std::move(fd));
    if (!table) log_error("no kill table", {{"why", table.error().message()}});
    kills_ = table ? std::move(*table) : nullptr;
  });
  role_.on_descriptor("kill-wake", [this, &service](net::Descriptor fd) {
    tasks_.spawn(watch(std::move(fd), &service));
  });
}

Task<Result<void>> RolePorts::record(Use use) {
  std::string bytes = CO_TRY(audit::encode(entry_of(use, role_.loop())));
  // It is on its way before the credential is given, and not waited for: the gateway's Intent is
  // what must be durable before an effect. Where the log does not take it, no more is given.
  if (unrecorded_.empty() && under_way_ < kUnderWayMost && role_.peer("audit") != nullptr) {
    tasks_.spawn(send(std::move(bytes)));
    co_return Result<void>();
  }
  if (is_catching_up_) {
    co_return failure(Error::kAuditUnavailable, "the audit log is behind; try again");
  }
  Result<void> caught_up;
  {
    // Also when the gateway that asked goes meanwhile.
    struct Busy {
      bool& flag;
      ~Busy() { flag = false; }
    } const busy{is_catching_up_ = true};
    caught_up = co_await catch_up();
  }
  if (!caught_up) {
    co_return failure(Error::kAuditUnavailable, "the audit log is away, so no credential is given: "
                                                    + caught_up.error().message());
  }
  tasks_.spawn(send(std::move(bytes)));
  co_return Result<void>();
}

Task<Result<ipc::Posted>> RolePorts::post(ipc::Post request, Deadline deadline) {
  // A courier that is away took nothing; one that goes in the middle may have sent it.
  if (role_.peer("courier") == nullptr) {
    co_return failure(Error::kUnreachable, "the courier is away; try again");
  }
  co_return co_await role_.call("courier", std::move(request), deadline);
}

Task<void> RolePorts::end_leases_with(Task<void> closed, Service* service, std::string name,
                                      std::uint64_t arrival) {
  co_await std::move(closed);
  if (gateways_.at(name).arrivals != arrival) co_return;  // the next one has come meanwhile
  const std::size_t ended = service->end_leases_of(name);
  if (ended > 0) log_warning("leases ended with their gateway", {{"name", name}, {"count", ended}});
}

Task<void> RolePorts::watch(net::Descriptor bell, Service* service) {
  while (co_await role_.loop().wait_readable(bell.get(), Deadline::never())) {
    if (!ipc::take_rings(bell.get())) co_return;
    (void)service->end_killed();
  }
}

Task<void> RolePorts::send(std::string bytes) {
  ++under_way_;
  const auto appended =
      co_await role_.call("audit", ipc::Append{bytes}, role_.loop().in(kRecordMost));
  --under_way_;
  if (!appended) unrecorded_.push_back(std::move(bytes));
}

Task<Result<void>> RolePorts::catch_up() {
  while (!unrecorded_.empty()) {
    CO_TRY(co_await role_.call("audit", ipc::Append{unrecorded_.front()},
                               role_.loop().in(kRecordMost)));
    unrecorded_.pop_front();
  }
  if (role_.peer("audit") == nullptr) co_return failure(Error::kUnavailable, "it is not there");
  co_return Result<void>();
}

}  // namespace gatehouse::vault
