// SPDX-License-Identifier: Apache-2.0
#include "vault/role_ports.h"

#include <array>

#include "audit/entry.h"
#include "base/log.h"
#include "ipc/ring.h"

namespace gatehouse::vault {
namespace {

using net::Task;

constexpr Nanos kRecordMost = std::chrono::seconds(2);
constexpr std::size_t kUnderWayMost = 1024;  // Entries that are not durable yet, ...
constexpr Nanos kBehindMost = 250ms;         // ... and how long the first of them may not be
constexpr Nanos kBehindPause = 5ms;

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
  entry.tags.reserve(8);
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
  ring_offers_.begin([this](std::unique_ptr<ipc::RingWriter> ring) { write_to(std::move(ring)); });
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

// It is in the ring before the credential is given, where it outlives this process, and is not
// waited for: the gateway's Intent is what must be durable before an effect. Where the log does not
// take what there is, no more is given.
Task<Result<void>> RolePorts::record(Use use) {
  net::Loop& loop = role_.loop();
  const std::string bytes = CO_TRY(audit::encode(entry_of(use, loop)));
  const Deadline deadline = loop.in(kRecordMost);
  while (ring_offers_.is_taken() && role_.peer("audit") != nullptr) {
    if (put(bytes)) co_return Result<void>();
    if (loop.now() >= deadline.at()) {
      co_return failure(Error::kAuditUnavailable,
                        "the audit log is behind, so no credential is given; try again");
    }
    co_await loop.sleep_for(kBehindPause);
  }
  co_return failure(Error::kAuditUnavailable,
                    "the audit log is away, so no credential is given; try again");
}

// What was not durable in the ring of an audit role that is gone is in the next one's.
void RolePorts::write_to(std::unique_ptr<ipc::RingWriter> ring) {
  const std::uint64_t carried = ring_ ? ring->take_over(*ring_) : 0;
  ring_ = std::move(ring);
  under_way_.clear();
  if (carried == 0) return;
  under_way_.push_back({carried, role_.loop().now()});
  rouser_.appended();
}

bool RolePorts::is_behind() {
  const std::uint64_t durable = ring_->durable();
  while (!under_way_.empty() && under_way_.front().position <= durable) under_way_.pop_front();
  if (under_way_.empty()) return false;
  return under_way_.size() >= kUnderWayMost
         || role_.loop().now() - under_way_.front().since > kBehindMost;
}

bool RolePorts::put(const std::string& entry) {
  if (is_behind()) return false;
  const std::array<std::string_view, 1> parts = {entry};
  const auto position = ring_->append(ipc::RecordType::kEntry, parts);
  if (!position) return false;
  under_way_.push_back({*position, role_.loop().now()});
  rouser_.appended();
  return true;
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

}  // namespace gatehouse::vault
