// SPDX-License-Identifier: Apache-2.0
#include "gateway/timing.h"

#include <fmt/format.h>

#include <algorithm>

namespace gatehouse::gateway {
namespace {

double milliseconds(Nanos time) { return static_cast<double>(time.count()) * 1e-6; }

}  // namespace

Nanos own_part(const Timing& timing, Nanos whole) {
  return std::max(Nanos(0), whole - timing.request - timing.lease - timing.upstream);
}

std::string server_timing(const Timing& timing, Nanos whole) {
  return fmt::format(
      "gatehouse;dur={:.3f}, request;dur={:.3f}, lease;dur={:.3f}, "
      "upstream;dur={:.3f}",
      milliseconds(own_part(timing, whole)), milliseconds(timing.request),
      milliseconds(timing.lease), milliseconds(timing.upstream));
}

}  // namespace gatehouse::gateway
