// SPDX-License-Identifier: Apache-2.0
#include "base/time.h"

#include <fmt/format.h>

#include <ctime>

namespace gatehouse {
namespace {

std::int64_t read_nanos(clockid_t clock) {
  timespec at{};
  clock_gettime(clock, &at);
  return at.tv_sec * 1'000'000'000 + at.tv_nsec;
}

}  // namespace

Instant Instant::now() { return Instant(Nanos(read_nanos(CLOCK_MONOTONIC))); }
WallTime WallTime::now() { return WallTime(read_nanos(CLOCK_REALTIME)); }

std::string WallTime::text() const {
  const std::time_t seconds = unix_seconds();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     unix_millis() % 1000);
}

}  // namespace gatehouse
