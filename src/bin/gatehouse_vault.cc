// SPDX-License-Identifier: Apache-2.0
// The vault role: the keys. It has no network at all.
#include <deque>

#include "audit/entry.h"
#include "base/log.h"
#include "bin/role_main.h"
#include "ipc/any_audit.h"
#include "ipc/kill_table.h"
#include "ipc/ring.h"
#include "vault/service.h"

namespace gatehouse::bin {
namespace {

using net::Task;

constexpr Nanos kRecordMost = std::chrono::seconds(2);
constexpr std::size_t kUnderWayMost = 1024;  // Entries that the log has not confirmed yet

class RolePorts : public vault::Ports {
 public:
  explicit RolePorts(ipc::Role& role) : role_(role), tasks_(role.loop()) {}

  // Without a kill table everything counts as killed.
  bool is_killed(const RunId& run) override { return !kills_ || kills_->is_killed(run); }
  void take_kill_table(net::Descriptor fd) {
    auto table = ipc::KillTableReader::open(std::move(fd));
    if (!table) log_error("no kill table", {{"why", table.error().message()}});
    kills_ = table ? std::move(*table) : nullptr;
  }
  void watch_kills(net::Descriptor bell, vault::Service& service) {
    tasks_.spawn(watch(std::move(bell), &service));
  }

  Task<Result<void>> record(vault::Use use) override {
    audit::Entry entry;
    entry.kind = audit::Kind::kVaultUse;
    entry.wall_ns = role_.loop().wall().unix_nanos();
    entry.monotonic_ns = role_.loop().now().since_boot().count();
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
    std::string bytes = CO_TRY(audit::encode(entry));
    // It is on its way before the credential is given, and not waited for: the gateway's Intent is
    // what must be durable before an effect. Where the log does not take it, no more is given.
    if (unrecorded_.empty() && under_way_ < kUnderWayMost && role_.peer("audit") != nullptr) {
      tasks_.spawn(send(std::move(bytes)));
      co_return Result<void>();
    }
    if (is_catching_up_) {
      co_return failure(Error::kAuditUnavailable, "the audit log is behind; try again");
    }
    is_catching_up_ = true;
    const Result<void> caught_up = co_await catch_up();
    is_catching_up_ = false;
    if (!caught_up) {
      co_return failure(
          Error::kAuditUnavailable,
          "the audit log is away, so no credential is given: " + caught_up.error().message());
    }
    tasks_.spawn(send(std::move(bytes)));
    co_return Result<void>();
  }
  Task<Result<ipc::Posted>> post(ipc::Post request, Deadline deadline) override {
    // A courier that is away took nothing; one that goes in the middle may have sent it.
    if (role_.peer("courier") == nullptr) {
      co_return failure(Error::kUnreachable, "the courier is away; try again");
    }
    co_return co_await role_.call("courier", std::move(request), deadline);
  }

 private:
  Task<void> watch(net::Descriptor bell, vault::Service* service) {
    while (co_await role_.loop().wait_readable(bell.get(), Deadline::never())) {
      if (!ipc::take_rings(bell.get())) co_return;
      (void)service->end_killed();
    }
  }

  Task<void> send(std::string bytes) {
    ++under_way_;
    const auto appended =
        co_await role_.call("audit", ipc::Append{bytes}, role_.loop().in(kRecordMost));
    --under_way_;
    if (!appended) unrecorded_.push_back(std::move(bytes));
  }

  Task<Result<void>> catch_up() {
    while (!unrecorded_.empty()) {
      CO_TRY(co_await role_.call("audit", ipc::Append{unrecorded_.front()},
                                 role_.loop().in(kRecordMost)));
      unrecorded_.pop_front();
    }
    if (role_.peer("audit") == nullptr) co_return failure(Error::kUnavailable, "it is not there");
    co_return Result<void>();
  }

  ipc::Role& role_;
  bool is_catching_up_ = false;
  std::size_t under_way_ = 0;
  std::unique_ptr<ipc::KillTableReader> kills_;
  std::deque<std::string> unrecorded_;  // what the log did not take; it goes first when it is back
  net::Nursery tasks_;
};

int run(int argc, char** argv) {
  const RoleFlags flags = begin_role("vault", argc, argv);
  settle_role(flags, "vault");
  auto key = vault::load_or_make_key("root.key");
  if (!key) {
    log_error("the vault's key", {{"why", key.error().message()}});
    return 78;
  }
  const vault::Sealer sealer(std::move(*key));
  auto files = net::open_file_system(".");
  if (!files) {
    log_error("the vault's directory", {{"why", files.error().message()}});
    return 78;
  }
  auto store = vault::Store::open(**files, sealer);
  if (!store) {
    log_error("the vault's store", {{"why", store.error().message()}});
    return 78;
  }
  auto loop = net::make_real_loop();
  ipc::Role role(*loop);
  RolePorts ports(role);
  vault::Service service(*loop, **store, sealer, ports);
  if (const Result<void> opened = service.open_inbox(); !opened) {
    log_error("the vault's inbox key", {{"why", opened.error().message()}});
    return 78;
  }
  ipc::Permits gateway;
  ipc::Permits control;
  vault::permit_gateway(gateway, service);
  vault::permit_control(control, service);
  role.serve("gateway", gateway);
  role.serve("control", control);
  role.on_descriptor("kill-table",
                     [&ports](net::Descriptor fd) { ports.take_kill_table(std::move(fd)); });
  role.on_descriptor("kill-wake", [&ports, &service](net::Descriptor fd) {
    ports.watch_kills(std::move(fd), service);
  });
  ipc::Confinement plan;
  plan.uid = flags.uid;
  plan.writable = {"."};
  return live(role, std::move(plan));
}

}  // namespace
}  // namespace gatehouse::bin

int main(int argc, char** argv) { return gatehouse::bin::run(argc, argv); }
