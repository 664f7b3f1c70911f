// SPDX-License-Identifier: Apache-2.0
// The log on disk: append-only segments of Entries and bodies, committed in groups. One writer;
// what `commit` returned for is there after any crash. A damaged log is not opened for writing: the
// error names where.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "audit/segment.h"
#include "net/file.h"

namespace gatehouse::audit {

struct BodyPiece {
  ObjectId object{};
  Digest salt{};
  bool last = false;
  std::string_view bytes;
  std::uint64_t offset = 0;  // in the body, below 2^56
  bool is_list = false;      // `bytes` are all of a list of parts (body_list.h)
};

struct LogOptions {
  std::uint64_t segment_bytes =
      32 * 1024 * 1024;  // preallocated; a group is never larger than this
};

class Log {
 public:
  // Recovers: what was never committed behind the last marker is dropped. `files` must outlive
  // this. Errors: kCorrupt with segment, offset and sequence; the file system's.
  [[nodiscard]] static Result<std::unique_ptr<Log>> open(net::FileSystem& files,
                                                         LogOptions options = {});
  ~Log();

  // Into the group that is being gathered: an Entry whose outline was read. Errors: kTooLarge.
  [[nodiscard]] Result<std::uint64_t> append(std::string_view entry);
  // One that the log has already, as a gateway's ring brings again after the audit role went, is
  // taken for nothing. Errors: kTooLarge; kConflict: behind the end of the body, or with a part
  // before it missing; kCorrupt: a list that is none.
  [[nodiscard]] Result<void> append_body(const BodyPiece& piece);
  // Writes and syncs the group. After a failed sync the segment is left alone for ever and the
  // group goes into a new one. Errors: kExhausted, kCorrupt: nothing of the group is acknowledged,
  // it stays gathered.
  [[nodiscard]] Result<void> commit();
  // For when nobody waits: makes a part (1 MiB) of the segment that comes next, once this one is
  // half full, so that no commit has to make it whole. What fails is left to the commit.
  void prepare();
  [[nodiscard]] std::size_t gathered_bytes() const;

  [[nodiscard]] std::uint64_t size() const;  // committed Entries; the next sequence
  [[nodiscard]] Digest root() const;         // of what is committed
  // Errors: kNotFound, kCorrupt.
  [[nodiscard]] Result<std::string> read(std::uint64_t sequence);
  // The same, also of what is gathered and not committed yet: for whoever appended it.
  [[nodiscard]] Result<std::string> read_gathered(std::uint64_t sequence);
  // At most `most` bytes of a body from `offset`. Errors: kNotFound, kCorrupt.
  [[nodiscard]] Result<std::string> read_body(const ObjectId& object, std::uint64_t offset,
                                              std::size_t most);
  [[nodiscard]] Result<std::uint64_t> body_size(const ObjectId& object);
  // Sequences of the acts (is_act), in order.
  [[nodiscard]] const std::vector<std::uint64_t>& acts() const;
  // Sequences of a Run's Entries, in order.
  [[nodiscard]] const std::vector<std::uint64_t>& of_run(const RunId& run) const;
  // The Runs whose trace this is, then those whose agent sent a traceparent with it, in the order
  // in which they came up. An agent may claim any trace: the second kind is a hint.
  [[nodiscard]] std::vector<RunId> with_trace(const TraceId& trace) const;

 private:
  class Impl;
  explicit Log(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The name of the segment that begins with that sequence.
[[nodiscard]] std::string segment_name(std::uint64_t first_sequence, std::uint32_t attempt);

// A body frame's payload, both ways: kBodyHeaderSize bytes, then the piece. Whether it is a list is
// in the frame's type.
[[nodiscard]] std::string body_payload(const BodyPiece& piece);
[[nodiscard]] std::optional<BodyPiece> parse_body(std::string_view payload);

}  // namespace gatehouse::audit
