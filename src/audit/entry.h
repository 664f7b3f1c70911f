// SPDX-License-Identifier: Apache-2.0
// Entry: one record of the audit log. Small on purpose (a Merkle leaf): bodies are named by object
// id, size and a salted commitment, and lie in the object store. The encoding is canonical,
// versioned and at most kEntryMost bytes; docs/formats/audit.md describes it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/id.h"
#include "base/result.h"

namespace gatehouse::audit {

inline constexpr std::size_t kEntryMost = 32 * 1024;

enum class Kind : std::uint8_t {
  kNote = 0,
  kRunStarted = 1,
  kRunEnded = 2,
  kIntent = 3,   // an Exchange is about to have an effect (or to be sent)
  kSettled = 4,  // how an Intent ended
  kRefused = 5,
  kAlarm = 6,     // a person should look at it
  kVaultUse = 7,  // the vault's own record of a lease
  kKilled = 8,
  kRevived = 9,
  kConfigChanged = 10,
  kGap = 11,           // Entries were lost between here and there; how many is said
  kAdministered = 12,  // a person's or program's act on the house: who, what, before, after
  kTranscriptRead = 13,
};
[[nodiscard]] std::string_view name_of(Kind kind);
// Whether it belongs to the record of what people did, whatever Run it is about.
[[nodiscard]] constexpr bool is_act(Kind kind) {
  return kind == Kind::kAdministered || kind == Kind::kTranscriptRead;
}

using ObjectId = std::array<std::uint8_t, 16>;
using Digest = std::array<std::uint8_t, 32>;

struct BodyRef {
  std::string name;  // "request", "response", "llm.text", ...
  ObjectId object{};
  std::uint64_t size = 0;
  Digest commitment{};  // SHA-256(salt || SHA-256(bytes)); the salt lies with the object
  friend bool operator==(const BodyRef&, const BodyRef&) = default;
};

struct Entry {
  std::uint64_t sequence = 0;  // given by the log; not part of the encoding
  Kind kind = Kind::kNote;
  std::int64_t wall_ns = 0;       // for people; never for order
  std::int64_t monotonic_ns = 0;  // of the machine since its boot: durations
  std::string role;               // who wrote it
  std::string tenant;
  std::optional<RunId> run;
  TraceId trace;  // all zero: none
  SpanId span;
  std::string linked_trace;  // the agent's own traceparent, "" if none
  std::optional<ExchangeId> exchange;
  std::vector<std::pair<std::string, std::string>>
      tags;  // in order; "rule", "status", "tokens.input", ...
  std::vector<BodyRef> bodies;

  [[nodiscard]] std::string_view tag(std::string_view key) const;  // "" if absent
  void add(std::string_view key, std::string_view value) { tags.emplace_back(key, value); }
  friend bool operator==(const Entry&, const Entry&) = default;
};

// What the log has to know of one, without its tags and bodies: views into the encoding.
struct Outline {
  Kind kind = Kind::kNote;
  std::int64_t wall_ns = 0;
  std::int64_t monotonic_ns = 0;
  std::string_view role;
  std::string_view tenant;
  std::optional<RunId> run;
  TraceId trace;
  SpanId span;
  std::string_view linked_trace;
  std::optional<ExchangeId> exchange;
};

// Errors: kTooLarge.
[[nodiscard]] Result<std::string> encode(const Entry& entry);
// Errors: kCorrupt when it is cut short, out of bounds, or has bytes left over; kUnsupported for a
// version or a kind of a newer gatehouse.
[[nodiscard]] Result<Entry> decode(std::string_view bytes);
// The same checks of the whole. Errors: those of decode.
[[nodiscard]] Result<Outline> outline(std::string_view bytes);
// The same of what has passed those checks: what is behind the outline is not looked at again.
[[nodiscard]] Result<Outline> outline_of_checked(std::string_view bytes);

}  // namespace gatehouse::audit
