// SPDX-License-Identifier: Apache-2.0
#include "supervisor/sandboxes.h"

#include <utility>

namespace gatehouse::supervisor {

void Sandboxes::put(const RunId& run, Brake brake, net::Descriptor warden) {
  const bool is_new = rows_.insert_or_assign(run, std::move(brake)).second;
  empty_.reset();
  if (is_new) nursery_.spawn(watch(run, std::move(warden)));
}

const Brake* Sandboxes::find(const RunId& run) const {
  const auto found = rows_.find(run);
  return found == rows_.end() ? nullptr : &found->second;
}

net::Task<void> Sandboxes::watch(RunId run, net::Descriptor warden) {
  while (!co_await loop_.wait_readable(warden.get(), Deadline::never())) {
    co_await loop_.sleep_for(1s);  // no descriptor to wait with; later there is one
  }
  rows_.erase(run);
  if (rows_.empty()) empty_.set();
}

net::Task<Result<void>> Sandboxes::end_all(Deadline deadline) {
  for (const auto& [run, brake] : rows_) static_cast<void>(brake.destroy());
  co_return co_await empty_.wait(deadline);
}

}  // namespace gatehouse::supervisor
