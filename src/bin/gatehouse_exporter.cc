// SPDX-License-Identifier: Apache-2.0
// The exporter role: what is on record, as spans for a collector and as lines of the access log.
#include "base/log.h"
#include "bin/role_main.h"
#include "exporter/exporter.h"
#include "net/nursery.h"

namespace {

gatehouse::net::Task<gatehouse::Result<gatehouse::ipc::CounterList>> tell(
    const gatehouse::exporter::Exporter* exporter) {
  co_return exporter->counters();
}

// The audit role outlives this one, so that what was written last is heard of here.
gatehouse::net::Task<void> end(gatehouse::net::Loop* loop,
                               gatehouse::exporter::Exporter* exporter) {
  using namespace gatehouse;
  constexpr Nanos kLastReports = 150ms;
  constexpr Nanos kFlushMost = 1500ms;  // the supervisor waits for two seconds
  co_await loop->sleep_for(kLastReports);
  co_await exporter->finish(loop->in(kFlushMost));
  loop->stop();
}

}  // namespace

int main(int argc, char** argv) {
  using namespace gatehouse;
  const bin::RoleFlags flags = bin::begin_role("exporter", argc, argv);
  bin::settle_role(flags, "");
  auto loop = net::make_real_loop();
  auto resolver = net::Resolver::make(*loop);
  if (!resolver) {
    log_error("the resolver", {{"why", resolver.error().message()}});
    return 70;
  }
  ipc::Role role(*loop);
  exporter::Exporter exporter(*loop, **resolver);
  ipc::Permits audit;
  ipc::Permits control;
  audit.on<ipc::Report>([&exporter](ipc::Report report, std::vector<net::Descriptor>) {
    return exporter.take(std::move(report));
  });
  control.on<ipc::UseTelemetry>(
      [&exporter](ipc::UseTelemetry telemetry, std::vector<net::Descriptor>) {
        return exporter.use(std::move(telemetry));
      });
  control.on<ipc::GetCounters>(
      [&exporter](ipc::GetCounters, std::vector<net::Descriptor>) { return tell(&exporter); });
  role.serve("audit", audit);
  role.serve("control", control);
  role.on_descriptor("access-log",
                     [&exporter](net::Descriptor file) { exporter.write_to(std::move(file)); });
  net::Nursery last(*loop);
  return bin::live_until(role, bin::dialling(flags, ipc::Network::kOutbound),
                         [&] { last.spawn(end(loop.get(), &exporter)); });
}
