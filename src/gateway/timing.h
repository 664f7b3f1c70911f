// SPDX-License-Identifier: Apache-2.0
// Where the time of an Exchange goes until the head of its answer leaves, and how its agent's
// developer is told.
#pragma once

#include <cstdint>
#include <string>

#include "base/time.h"

namespace gatehouse::gateway {

struct Timing {
  Nanos request{};   // until the request was there, as far as it has to be, and understood
  Nanos lease{};     // until the vault lent the credential
  Nanos upstream{};  // from the dialling to the answer's head
};

// What of `whole` the gateway took for itself: its rules, its record, its looking through.
[[nodiscard]] Nanos own_part(const Timing& timing, Nanos whole);
// The value of a Server-Timing field (https://www.w3.org/TR/server-timing/, section 3):
// milliseconds, to a thousandth.
[[nodiscard]] std::string server_timing(const Timing& timing, Nanos whole);

// One more of something as long as this lives. The counter outlives it.
class Live {
 public:
  explicit Live(std::uint64_t& counter) : counter_(counter) { ++counter_; }
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;
  ~Live() { --counter_; }

 private:
  std::uint64_t& counter_;
};

}  // namespace gatehouse::gateway
