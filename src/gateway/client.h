// SPDX-License-Identifier: Apache-2.0
// Client: the agent's side of one connection: what was read and is not consumed yet, and whether an
// answer has begun.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "net/stream.h"
#include "wire/http1.h"

namespace gatehouse::gateway {

inline constexpr std::size_t kReadPiece = 16 * 1024;
inline constexpr Nanos kClientTakesMost = std::chrono::seconds(20);  // from when it takes nothing
inline constexpr Nanos kLingerMost = std::chrono::seconds(2);  // for it to end behind our last word

// Room to read into or to write from, used again by whoever comes next; a process has one thread
// here.
class Buffers {
 public:
  [[nodiscard]] static std::string take();
  // Nothing of what it holds is read again.
  static void give(std::string buffer);

  // One that is taken for as long as this lives.
  struct Lent {
    Lent() = default;
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;
    ~Lent() { give(std::move(text)); }
    std::string text = take();
  };
};

// Bytes between a Stream and a parser.
class Inbox {
 public:
  explicit Inbox(net::Stream& stream) : stream_(&stream) {}
  ~Inbox() { Buffers::give(std::move(bytes_)); }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;
  [[nodiscard]] std::string_view waiting() const { return std::string_view(bytes_).substr(taken_); }
  void take(std::size_t count) {
    taken_ += count;
    if (taken_ == bytes_.size()) {
      bytes_.clear();
      taken_ = 0;
    }
  }
  // Reads once more from the stream; false at its end.
  [[nodiscard, gnu::noinline]] net::Task<Result<bool>> fill(Deadline deadline) {
    if (bytes_.capacity() < kReadPiece) {
      std::string room = Buffers::take();
      room.append(waiting());
      bytes_ = std::move(room);
    } else {
      bytes_.erase(0, taken_);
    }
    taken_ = 0;
    Reading reading(bytes_);
    const Result<std::size_t> got = co_await stream_->read(reading.room(), deadline);
    was_full_ = got && *got == kReadPiece;
    if (!got) co_return Failure(got.error());
    reading.came(*got);
    co_return *got > 0;
  }
  // As `fill`, of a peer that may be silent for long: where nothing waits, no room is held
  // meanwhile.
  [[nodiscard]] net::Task<Result<bool>> fill_after_silence(Deadline deadline) {
    if (!waiting().empty() || was_full_) return fill(deadline);
    give_back();
    return fill_once_readable(deadline);
  }
  // Reads once more from the stream, straight to `into`; nothing waits here. 0 at its end.
  [[nodiscard]] net::Task<Result<std::size_t>> read_past(std::span<char> into, Deadline deadline) {
    CHECK(waiting().empty());
    was_full_ = false;
    return stream_->read(into, deadline);
  }
  // Holds no more room than what waits needs.
  void give_back() {
    if (!waiting().empty()) return;
    Buffers::give(std::exchange(bytes_, std::string()));
    taken_ = 0;
  }

 private:
  // Room behind what waits, of which no more stays than what came, none where the read is
  // cancelled.
  class Reading {
   public:
    explicit Reading(std::string& bytes) : bytes_(bytes), size_(bytes.size()) {
      // Not zeroed first: what is read is overwritten, and the rest is cut off again.
      bytes.resize_and_overwrite(size_ + kReadPiece, [](char*, std::size_t size) { return size; });
    }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading() { bytes_.resize(size_); }
    [[nodiscard]] std::span<char> room() { return {bytes_.data() + size_, kReadPiece}; }
    void came(std::size_t count) { size_ += count; }

   private:
    std::string& bytes_;
    std::size_t size_;
  };
  [[nodiscard]] net::Task<Result<bool>> fill_once_readable(Deadline deadline) {
    CO_TRY(co_await stream_->wait_readable(deadline));
    co_return co_await fill(deadline);
  }

  net::Stream* stream_;
  std::string bytes_;
  std::size_t taken_ = 0;
  bool was_full_ = false;  // what was read last: more is there, most likely
};

// What lets a connection from outside of a sandbox in.
struct Admission {
  std::string thumbprint;  // of its client certificate
  std::string digest;      // of the run token that it came with last
  std::int64_t until_unix_s = 0;
  // Whether its requests bring run tokens: not inside of a connection to one host.
  bool takes_tokens = true;
};

// A connection that has changed its protocol (RFC 9110 section 7.8): no HTTP passes on it any more.
// What came behind the head waits in the inbox.
struct RawConnection {
  net::Stream* stream = nullptr;
  Inbox* inbox = nullptr;
};

struct Client {
  explicit Client(std::unique_ptr<net::Stream> from) : stream(std::move(from)), inbox(*stream) {}
  // A stream that is not ended in order is reset, so that a cut is never taken for a clean end. One
  // whose chunks just end is none either, and there what was said last is not lost.
  ~Client() {
    if (mid_answer && !last_words_said && stream) stream->close_with_reset();
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  std::unique_ptr<net::Stream> stream;
  Inbox inbox;
  std::uint64_t connection = 0;
  std::optional<Admission> admission;  // none at a sandbox's Door
  bool speaks_http2 = false;           // agreed on by ALPN
  bool mid_answer = false;             // the head of an answer has gone out, its end has not
  bool last_words_said = false;        // it is cut, and an error event of its own says why
};

}  // namespace gatehouse::gateway
