// SPDX-License-Identifier: Apache-2.0
// Caller: the agent's side of one Exchange. Destroying one whose answer has begun and has not ended
// cuts it in a way that cannot be taken for an end.
#pragma once

#include <cstdint>
#include <string>

#include "gateway/message.h"
#include "net/nursery.h"
#include "wire/http1.h"

namespace gatehouse::gateway {

struct RawConnection;
struct Refusal;

class Caller {
 public:
  Caller() = default;
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  virtual ~Caller() = default;

  [[nodiscard]] virtual MessageIn& request() = 0;
  // Tells the agent that its body is waited for (RFC 9110 section 15.2.1). Errors: kTimeout,
  // kClosed.
  [[nodiscard]] virtual net::Task<Result<void>> send_continue(Deadline deadline) = 0;

  // Puts the head of the answer; it leaves with what comes behind it. `body` is kNone, kLength or
  // kChunked, which stands for a length that is not known yet; the fields hold no framing but the
  // Content-Length of an answer without a body. Errors: kInvalid.
  [[nodiscard]] virtual Result<void> begin(wire::ResponseHead head, wire::BodyFraming body) = 0;
  [[nodiscard]] virtual MessageOut& answer() = 0;
  // Whether an answer has begun and has not ended: too late to say anything else.
  [[nodiscard]] virtual bool is_mid_answer() const = 0;
  // Of an answer under way: whether something can still be said in its body, because no length was
  // promised and nothing of it is sent in part.
  [[nodiscard]] virtual bool takes_last_words() const = 0;
  // Says `words` behind what waits and ends there, not in order; what was said is not lost by how
  // the rest is cut. Without waiting, or until the deadline.
  virtual void say_last_now(std::string_view words) = 0;
  [[nodiscard]] virtual net::Task<void> say_last(std::string_view words, Deadline deadline) = 0;
  // Whether the agent may be answered 101. Errors: kUnsupported where the connection has more than
  // this Exchange; kInvalid when bytes came behind the request, before it was answered: then the
  // connection ends with this Exchange.
  [[nodiscard]] virtual Result<void> can_switch() = 0;
  // Answers 101 with `head`. The connection is that of the new protocol until this Exchange ends,
  // and then ends too: by a reset, unless `ended_in_order` is said before. Errors: can_switch's,
  // kInvalid, kTimeout, kClosed.
  [[nodiscard]] virtual net::Task<Result<RawConnection>> switch_protocols(wire::ResponseHead head,
                                                                          Deadline deadline) = 0;
  virtual void ended_in_order() = 0;
  // Answers with an error of the gateway's own.
  [[nodiscard]] virtual net::Task<void> refuse(Refusal refusal) = 0;

  // From now on an agent that leaves ends this Exchange, so that the upstream is cancelled at once.
  // What that takes is the nursery's.
  virtual void watch(net::Nursery& nursery) = 0;

  std::string refused_by;           // the rule that refused the request, for its answer
  std::uint32_t retry_after_s = 0;  // when the agent may come again, as in Refusal
  std::string json_rpc_id;          // of a message, as it stood: its error repeats it
};

}  // namespace gatehouse::gateway
