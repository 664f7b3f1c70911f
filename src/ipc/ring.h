// SPDX-License-Identifier: Apache-2.0
// Ring: bodies and Entries from one gateway, or the vault's Entries, to the audit role through
// shared memory, one writer and one reader. The memory is size-sealed; positions only grow. The
// reader treats everything in it as hostile: a record's header is copied once and then checked, and
// nothing in the ring decides how far it reads. The bell beside it is a pair of sockets, not an
// eventfd: whether a call on an eventfd waits is up to whoever else holds it, on a socket it is up
// to the caller.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/descriptor.h"

namespace gatehouse::ipc {

// All of it is touched by and by, and counts as memory of each side. The longest body that is kept
// (16 MiB) fits in beside what others have under way.
inline constexpr std::size_t kRingBytes = 24 * 1024 * 1024;
inline constexpr std::size_t kRecordMost = 1024 * 1024 + 4096;

enum class RecordType : std::uint32_t {
  kPadding = 0,   // to the end of the memory
  kEntry = 1,     // audit::Entry, encoded
  kBody = 2,      // a piece of a body, as audit::BodyPiece
  kBodyList = 3,  // the same of a body that is a list of parts (audit/body_list.h)
};

struct RingMemory;

class RingWriter {
 public:
  [[nodiscard]] static Result<std::unique_ptr<RingWriter>> make();
  ~RingWriter();

  // Copies a record in; returns the position behind it, or nothing while there is no room. Never
  // waits, and wakes nobody: see `want` and `rouse`.
  [[nodiscard]] std::optional<std::uint64_t> append(RecordType type,
                                                    std::span<const std::string_view> parts);
  // Copies in what is not durable in the ring before, whose reader is gone; before anything else is
  // appended. Returns the position behind it.
  std::uint64_t take_over(const RingWriter& before);
  // Everything before this position is on disk.
  [[nodiscard]] std::uint64_t durable() const;
  // Asks to be woken (by `durable_fd`) when `position` is durable. Returns false when it already
  // is.
  [[nodiscard]] bool want(std::uint64_t position);
  // Whether the reader sleeps until it is roused.
  [[nodiscard]] bool is_reader_asleep() const;
  // Wakes a reader that sleeps: there is something for it.
  void rouse() const;

  [[nodiscard]] int memory_fd() const { return memory_fd_.get(); }
  [[nodiscard]] int reader_bell_fd() const { return reader_bell_.get(); }  // for the reader
  void forget_reader_bell() { reader_bell_.reset(); }                      // it was handed over
  [[nodiscard]] int bell_fd() const { return bell_.get(); }  // readable: something is durable
  // Takes the rings of the bell; false when the reader is gone.
  [[nodiscard]] bool answer() const;

 private:
  RingWriter() = default;
  RingMemory* memory_ = nullptr;
  std::uint64_t position_ = 0;
  net::Descriptor memory_fd_;
  net::Descriptor bell_;
  net::Descriptor reader_bell_;
};

class RingReader {
 public:
  // Takes over what the writer offered. Errors: kInvalid when it is not a sealed ring with a bell.
  [[nodiscard]] static Result<std::unique_ptr<RingReader>> open(net::Descriptor memory,
                                                                net::Descriptor bell);
  ~RingReader();

  struct Record {
    RecordType type = RecordType::kPadding;
    std::string_view bytes;  // of a copy, until the next call
  };
  // The next record, copied out; nothing when there is none. Errors: kInvalid: the writer broke the
  // rules, the ring is to be abandoned.
  [[nodiscard]] Result<std::optional<Record>> next();
  // How much its writer says to have put in and `next` has not given, in bytes; not more than a
  // ring holds.
  [[nodiscard]] std::uint64_t unread() const;
  // Everything that `next` has given is on disk; frees its room and wakes a writer that wants to
  // know.
  void publish_durable();
  // Where the last record ends that has been put in by now.
  [[nodiscard]] std::uint64_t written() const;
  // How far `next` has come.
  [[nodiscard]] std::uint64_t position() const { return position_; }
  // Says that the reader is about to sleep; false when a record has come meanwhile.
  [[nodiscard]] bool prepare_to_sleep();
  // Says that it is about to pause, and to be woken only for a writer that waits until something is
  // durable; false when one does already.
  [[nodiscard]] bool prepare_to_linger();
  // It does neither any longer, and takes the rings that it was told so by.
  void woken();
  [[nodiscard]] int bell_fd() const { return bell_.get(); }  // readable: a record has come

 private:
  RingReader() = default;
  RingMemory* memory_ = nullptr;
  std::uint64_t position_ = 0;
  bool is_resting_ = false;  // as it told the writer, who may ring
  std::string copy_;         // of the last record
  net::Descriptor bell_;
};

// Takes the rings of a bell; false when its other end is closed. However fast it rings, this ends.
[[nodiscard]] bool take_rings(int fd);
// Whether the other end of a bell is closed.
[[nodiscard]] bool is_bell_dead(int fd);

}  // namespace gatehouse::ipc
