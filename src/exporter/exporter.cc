// SPDX-License-Identifier: Apache-2.0
#include "exporter/exporter.h"

#include "audit/entry.h"
#include "exporter/access_line.h"
#include "exporter/span.h"
#include "ipc/counters.h"

namespace gatehouse::exporter {

using net::Task;

Task<Result<ipc::Done>> Exporter::use(ipc::UseTelemetry telemetry) {
  lines_.use(telemetry.writes_access_log);
  delivery_.use(std::move(telemetry));
  told_.set();
  co_return ipc::Done{};
}

Task<Result<ipc::Done>> Exporter::take(ipc::Report report) {
  (void)co_await told_.wait(Deadline::never());
  for (const std::string& bytes : report.entries) {
    const auto entry = audit::decode(bytes);
    ++(entry ? entries_ : unreadable_);
    if (!entry) continue;
    if (lines_.is_wanted()) {
      if (const auto line = access_line(*entry)) lines_.add(*line);
    }
    if (auto span = delivery_.is_wanted() ? span_of(*entry) : std::nullopt) {
      delivery_.take(*std::move(span));
    }
  }
  lines_.flush();
  co_return ipc::Done{};
}

Task<void> Exporter::finish(Deadline until) {
  lines_.flush();
  co_await delivery_.finish(until);
}

ipc::CounterList Exporter::counters() const {
  ipc::CounterList list;
  list.counters = {{"entries", entries_}, {"entries.unreadable", unreadable_}};
  delivery_.add_counters(list);
  lines_.add_counters(list);
  ipc::add_process_counters(list);
  return list;
}

}  // namespace gatehouse::exporter
