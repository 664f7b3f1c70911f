// SPDX-License-Identifier: Apache-2.0
// The two directions of a message with a body, whatever carries it: a connection of HTTP/1.1 or a
// stream of HTTP/2. A phase of an Exchange reads and writes by these alone. What is kept of a body
// is bounded: who reads no more lets the peer wait, who writes waits for the peer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "net/task.h"
#include "wire/headers.h"

namespace gatehouse::gateway {

// A part of a body, without its framing. A view until the next call of the same object.
struct Piece {
  std::string_view payload;
  bool done = false;  // nothing comes behind it
  // Whether `more` has to be awaited for anything to happen.
  [[nodiscard]] bool is_nothing() const { return payload.empty() && !done; }
};

// The body of a message that comes in.
class MessageIn {
 public:
  MessageIn() = default;
  MessageIn(const MessageIn&) = delete;
  MessageIn& operator=(const MessageIn&) = delete;
  virtual ~MessageIn() = default;

  // What is here of the body already. Errors: kInvalid, kTooLarge, kTooMany for what is malformed.
  [[nodiscard]] virtual Result<Piece> piece() = 0;
  // Waits until there is more; false when the peer has ended its side. After kTimeout it may be
  // called again. Errors: kTimeout, kClosed.
  [[nodiscard]] virtual net::Task<Result<bool>> more(Deadline deadline) = 0;
  // As `more`, of a peer that may be silent for long: memory for what it may send is not held
  // meanwhile.
  [[nodiscard]] virtual net::Task<Result<bool>> more_after_silence(Deadline deadline) {
    return more(deadline);
  }
  // How many bytes of the body come next that `read` can take. 0 of a body whose bytes do not come
  // as they are, or while some are here: then there is a `piece`, or `more`.
  [[nodiscard]] virtual std::uint64_t plain() { return 0; }
  // Reads at most `plain` bytes, and at least one, straight to where they belong; 0 when the peer
  // has ended its side. Errors: as of `more`.
  [[nodiscard]] virtual net::Task<Result<std::size_t>> read(std::span<char> into,
                                                            Deadline deadline) {
    (void)into;
    (void)deadline;
    co_return failure(Error::kInternal, "a body that does not come as it is was read so");
  }
  // The peer has ended its side. Errors: kUpstream when the body is not whole.
  [[nodiscard]] virtual Result<void> closed() = 0;
  [[nodiscard]] virtual bool is_done() const = 0;
  // Once it is done; never a field that frames, routes or authorizes (RFC 9110 section 6.5.1).
  [[nodiscard]] virtual const wire::Headers& trailers() const = 0;
};

// The body of a message that goes out, behind a head that was put there already.
class MessageOut {
 public:
  MessageOut() = default;
  MessageOut(const MessageOut&) = delete;
  MessageOut& operator=(const MessageOut&) = delete;
  virtual ~MessageOut() = default;

  // Puts a piece behind what waits.
  virtual void add(std::string_view payload) = 0;
  // How many bytes wait, those of the head among them.
  [[nodiscard]] virtual std::size_t waiting() const = 0;
  // Drops what waits: nobody is there who would take it.
  virtual void discard() = 0;
  // Sends all that waits. Errors: kTimeout, kClosed.
  [[nodiscard]] virtual net::Task<Result<void>> flush(Deadline deadline) = 0;
  // Sends all that waits, then `rest`, then the end. `trailers` go where the framing has room for
  // them. Both outlive the await. Errors: kTimeout, kClosed, kInvalid (a trailer).
  [[nodiscard]] virtual net::Task<Result<void>> finish(std::string_view rest,
                                                       const wire::Headers& trailers,
                                                       Deadline deadline) = 0;
};

}  // namespace gatehouse::gateway
