// SPDX-License-Identifier: Apache-2.0
#include "ipc/counters.h"

#include <ctime>

#include "base/check.h"
#include "ipc/channel.h"

namespace gatehouse::ipc {

void add_process_counters(CounterList& list) {
  list.counters.push_back({"ipc.unpermitted", unpermitted_requests()});
  list.counters.push_back({"bugs", bugs_found()});
  timespec used{};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0) return;
  const auto seconds = static_cast<std::uint64_t>(used.tv_sec);
  list.counters.push_back(
      {"cpu_ns", seconds * 1'000'000'000 + static_cast<std::uint64_t>(used.tv_nsec)});
}

}  // namespace gatehouse::ipc
