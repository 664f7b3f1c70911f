// SPDX-License-Identifier: Apache-2.0
// A histogram of times, as a role counts it and control shows it: the same bounds for all, so that
// what a role says of one is a fixed number of counters, whatever passes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.h"
#include "ipc/control_gateway.h"

namespace gatehouse::ipc {

class Histogram {
 public:
  // The upper bounds of the buckets, in seconds, inclusive; what is above the last is in one more.
  static constexpr std::array kBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                         0.025,  0.05,    0.1,    0.25,  0.5,    1.0,   2.5,
                                         5.0,    10.0,    30.0,   60.0,  120.0,  300.0};
  static constexpr std::size_t kBuckets = kBounds.size() + 1;
  // What stands in the place of a bucket's number for the sum of all, in nanoseconds.
  static constexpr std::string_view kSum = "sum_ns";

  // A time below zero counts as none.
  void observe(Nanos time);
  // Adds `name`.0 and so on, each bucket by itself, and `name`.sum_ns.
  void add_to(CounterList& list, std::string_view name) const;
  // The number of a bucket from its text, kBuckets for the sum; none for any other text.
  [[nodiscard]] static std::optional<std::size_t> place_of(std::string_view text);

 private:
  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t sum_ns_ = 0;
};

}  // namespace gatehouse::ipc
