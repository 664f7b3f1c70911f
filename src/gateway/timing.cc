// SPDX-License-Identifier: Apache-2.0
#include "gateway/timing.h"

#include <algorithm>

namespace gatehouse::gateway {
namespace {

// Milliseconds with three decimals.
void append_metric(std::string& out, std::string_view name, Nanos time) {
  const auto micros = std::chrono::round<std::chrono::microseconds>(time).count();
  const std::string below = std::to_string(1000 + micros % 1000);  // with its zeros
  if (!out.empty()) out += ", ";
  out.append(name).append(";dur=").append(std::to_string(micros / 1000)).append(".");
  out.append(below, 1);
}

}  // namespace

Nanos own_part(const Timing& timing, Nanos whole) {
  return std::max(Nanos(0), whole - timing.request - timing.lease - timing.upstream);
}

std::string server_timing(const Timing& timing, Nanos whole) {
  std::string out;
  out.reserve(96);
  append_metric(out, "gatehouse", own_part(timing, whole));
  append_metric(out, "request", timing.request);
  append_metric(out, "lease", timing.lease);
  append_metric(out, "upstream", timing.upstream);
  return out;
}

}  // namespace gatehouse::gateway
