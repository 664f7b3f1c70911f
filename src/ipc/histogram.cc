// SPDX-License-Identifier: Apache-2.0
#include "ipc/histogram.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace gatehouse::ipc {

void Histogram::observe(Nanos time) {
  const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0));
  const double seconds = static_cast<double>(count) * 1e-9;
  const auto bound = std::ranges::lower_bound(kBounds, seconds);
  ++buckets_.at(static_cast<std::size_t>(bound - kBounds.begin()));
  sum_ns_ += count;
}

void Histogram::add_to(CounterList& list, std::string_view name) const {
  for (std::size_t i = 0; i < kBuckets; ++i) {
    list.counters.push_back({fmt::format("{}.{}", name, i), buckets_.at(i)});
  }
  list.counters.push_back({fmt::format("{}.{}", name, kSum), sum_ns_});
}

std::optional<std::size_t> Histogram::place_of(std::string_view text) {
  if (text == kSum) return kBuckets;
  std::size_t place = 0;
  const auto [end, wrong] = std::from_chars(text.begin(), text.end(), place);
  if (wrong != std::errc() || end != text.end() || place >= kBuckets) return std::nullopt;
  return text.size() > 1 && text.front() == '0' ? std::nullopt : std::optional(place);
}

}  // namespace gatehouse::ipc
