// SPDX-License-Identifier: Apache-2.0
// Every role appends; control reads. The volume of gateways and the vault goes through Rings
// instead (ring.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ipc/message.h"

namespace gatehouse::ipc {

struct Appended {
  static constexpr MessageType kType = 0x0411;
  std::uint64_t sequence = 0;
  template <class F>
  void fields(F& f) {
    f(sequence);
  }
};
// Answered when the Entry is durable. Errors: kAuditUnavailable, kExhausted, kInvalid.
struct Append {
  static constexpr MessageType kType = 0x0401;
  using Reply = Appended;
  std::string entry;  // audit::Entry, encoded (audit/entry.h)
  template <class F>
  void fields(F& f) {
    f(entry);
  }
};

// Gateway or vault -> audit, with two descriptors: the ring's memory and the reader's end of its
// bell. Errors: kInvalid, kTooMany.
struct OfferRing {
  static constexpr MessageType kType = 0x0404;
  using Reply = Done;
  template <class F>
  void fields(F&) {}
};

// Control -> audit: a page of a Run's Entries from `from_sequence` on, in order; empty when there
// are no more.
struct EntryPage {
  static constexpr MessageType kType = 0x0412;
  std::vector<std::string> entries;  // encoded
  std::vector<std::uint64_t> sequences;
  std::uint64_t next_sequence = 0;  // 0: no more
  template <class F>
  void fields(F& f) {
    f(entries, sequences, next_sequence);
  }
};
struct ReadRun {
  static constexpr MessageType kType = 0x0402;
  using Reply = EntryPage;
  RunId run = no_run();
  std::uint64_t from_sequence = 0;
  template <class F>
  void fields(F& f) {
    f(run, from_sequence);
  }
};

// Control -> audit: the same of the acts of people and programs on the house, whatever Run they are
// about.
struct ReadActs {
  static constexpr MessageType kType = 0x0406;
  using Reply = EntryPage;
  std::uint64_t from_sequence = 0;
  template <class F>
  void fields(F& f) {
    f(from_sequence);
  }
};

// Control -> audit: the Runs that a trace id belongs to, or that an agent linked to it.
struct RunsOfTrace {
  static constexpr MessageType kType = 0x0415;
  std::vector<RunId> runs;
  template <class F>
  void fields(F& f) {
    f(runs);
  }
};
struct FindTrace {
  static constexpr MessageType kType = 0x0405;
  using Reply = RunsOfTrace;
  TraceId trace;
  template <class F>
  void fields(F& f) {
    f(trace);
  }
};

// Control -> audit: a piece of a body, at most 48 KiB.
struct BodyPiece {
  static constexpr MessageType kType = 0x0413;
  std::uint64_t total_bytes = 0;
  std::string bytes;
  template <class F>
  void fields(F& f) {
    f(total_bytes, bytes);
  }
};
struct ReadBody {
  static constexpr MessageType kType = 0x0403;
  using Reply = BodyPiece;
  std::string object;  // the object id as in the Entry
  std::uint64_t offset = 0;
  template <class F>
  void fields(F& f) {
    f(object, offset);
  }
};

}  // namespace gatehouse::ipc
