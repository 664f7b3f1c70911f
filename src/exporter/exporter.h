// SPDX-License-Identifier: Apache-2.0
// The exporter role's core: what the audit role has on record goes out as spans and as lines of the
// access log. It holds no store, asks nobody anything, and nothing waits for it: what it cannot
// take is dropped and counted, here or in the audit role. Of its Loop's thread.
#pragma once

#include "exporter/access_log.h"
#include "exporter/delivery.h"
#include "ipc/audit_exporter.h"
#include "ipc/control_exporter.h"

namespace gatehouse::exporter {

class Exporter {
 public:
  Exporter(net::Loop& loop, net::Resolver& resolver)
      : delivery_(loop, resolver), lines_(loop), told_(loop) {}

  // What goes where, from now on.
  [[nodiscard]] net::Task<Result<ipc::Done>> use(ipc::UseTelemetry telemetry);
  // Of the audit role. Answers when they are taken, which is not before `use`.
  [[nodiscard]] net::Task<Result<ipc::Done>> take(ipc::Report report);
  // Where the lines go.
  void write_to(net::Descriptor file) { lines_.write_to(std::move(file)); }

  // The house stops: what waits is sent now, as far as it is taken before `until`.
  [[nodiscard]] net::Task<void> finish(Deadline until);

  [[nodiscard]] ipc::CounterList counters() const;

 private:
  Delivery delivery_;
  AccessLog lines_;
  net::Event told_;
  std::uint64_t entries_ = 0;
  std::uint64_t unreadable_ = 0;
};

}  // namespace gatehouse::exporter
