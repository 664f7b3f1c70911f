// SPDX-License-Identifier: Apache-2.0
// The Transcript: the readable story of a Run, rebuilt from its Entries. What was asked and
// answered, why (reasoning), what was done to the world and what was refused; and, of a Run that
// was cut, what had been done already and what nobody can know.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/entry.h"

namespace gatehouse::audit {

// The bytes of a body. Errors: kNotFound, kCorrupt, kUnavailable; the story then says so in place.
using FetchBody = std::function<Result<std::string>(const BodyRef&)>;

// One thing that happened: an Exchange from its Intent to its end, or any other Entry.
struct Step {
  Entry entry;                   // what opened it
  std::optional<Entry> settled;  // how an Exchange ended; nothing: it was never told
  std::vector<Entry> uses;       // the vault's own record of the leases for it

  // A tag of the settling Entry, else of the first.
  [[nodiscard]] std::string_view tag(std::string_view key) const;
  [[nodiscard]] const BodyRef* body(std::string_view name) const;
  // done, failed, refused, cut; "in doubt" for an Intent without an end; "" for no Exchange.
  [[nodiscard]] std::string_view state() const;
  // Whether it may have changed something outside: a tool's call, a method that is not safe (RFC
  // 9110 section 9.2.1), a WebSocket, an uninspected tunnel. Asking a model is none, unless tools
  // may run at its provider.
  [[nodiscard]] bool is_effect() const;
};

// A count that a tag says; 0 where it says none. A captured gateway writes what it likes: no more
// than kCountMost, and nothing below 0.
inline constexpr std::int64_t kCountMost = 1'000'000'000'000'000;
[[nodiscard]] std::int64_t count_of(std::string_view tag);

// Sums, each at most kCountMost.
struct Tokens {
  std::int64_t input = 0;
  std::int64_t output = 0;
  std::int64_t cached = 0;     // of input
  std::int64_t reasoning = 0;  // of output
  bool estimated = false;      // at least one answer did not say
  std::int64_t cost_micro_usd = 0;
  int unpriced = 0;  // calls of which nobody knows the price
};

class Transcript {
 public:
  // Entries of one Run in the log's order.
  void add(Entry entry);

  [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }
  [[nodiscard]] bool empty() const { return steps_.empty(); }
  [[nodiscard]] Tokens tokens() const;

  // For a terminal; what came from elsewhere is made printable. `whole` shows bodies in full.
  [[nodiscard]] std::string text(const FetchBody& fetch, bool whole) const;
  // One JSON object, with every Entry and every body in full.
  [[nodiscard]] std::string json(const FetchBody& fetch) const;

 private:
  std::vector<Step> steps_;
  std::map<std::string, std::size_t> by_exchange_;
};

// "PATCH calendar.example/v1/events/3", "tool everything__echo", "CONNECT example.org:443",
// "WebSocket chat.example/socket".
[[nodiscard]] std::string act_of(const Step& step);

}  // namespace gatehouse::audit
