// SPDX-License-Identifier: Apache-2.0
// Two clocks that never mix: Instant (monotonic, for waits and durations) and WallTime (for people
// and records).
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>

namespace gatehouse {

using Nanos = std::chrono::nanoseconds;
using Millis = std::chrono::milliseconds;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""us;

class Instant {
 public:
  constexpr Instant() = default;
  explicit constexpr Instant(Nanos since_boot) : since_boot_(since_boot) {}
  [[nodiscard]] static Instant
  now();  // CLOCK_MONOTONIC; only net/'s real Loop and benches should call it
  [[nodiscard]] constexpr Nanos since_boot() const { return since_boot_; }
  friend constexpr auto operator<=>(const Instant&, const Instant&) = default;
  friend constexpr Instant operator+(Instant at, Nanos span) {
    return Instant(at.since_boot_ + span);
  }
  friend constexpr Nanos operator-(Instant a, Instant b) { return a.since_boot_ - b.since_boot_; }

 private:
  Nanos since_boot_{0};
};

class WallTime {
 public:
  constexpr WallTime() = default;
  explicit constexpr WallTime(std::int64_t unix_nanos) : unix_nanos_(unix_nanos) {}
  [[nodiscard]] static WallTime now();
  [[nodiscard]] constexpr std::int64_t unix_nanos() const { return unix_nanos_; }
  [[nodiscard]] constexpr std::int64_t unix_millis() const { return unix_nanos_ / 1'000'000; }
  [[nodiscard]] constexpr std::int64_t unix_seconds() const { return unix_nanos_ / 1'000'000'000; }
  // RFC 3339 in UTC with milliseconds: 2026-11-23T18:16:04.123Z.
  [[nodiscard]] std::string text() const;
  friend constexpr auto operator<=>(const WallTime&, const WallTime&) = default;

 private:
  std::int64_t unix_nanos_ = 0;
};

// The moment by which a wait must be over. Every wait has one.
class Deadline {
 public:
  explicit constexpr Deadline(Instant at) : at_(at) {}
  // For waits whose end is somebody's act (an idle listener, a role's inbox), never for a peer's
  // answer.
  [[nodiscard]] static constexpr Deadline never() { return Deadline(Instant(Nanos::max())); }
  [[nodiscard]] constexpr Instant at() const { return at_; }
  [[nodiscard]] constexpr bool is_never() const { return at_.since_boot() == Nanos::max(); }
  friend constexpr auto operator<=>(const Deadline&, const Deadline&) = default;

 private:
  Instant at_;
};

}  // namespace gatehouse
