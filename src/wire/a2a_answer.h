// SPDX-License-Identifier: Apache-2.0
// What the other agent answers to an A2A request, read beside its relay: texts, the task and its
// state, an error; whole, or as server-sent events. Sans-I/O; what is relayed keeps its bytes.
#pragma once

#include <string>
#include <string_view>

#include "wire/a2a.h"
#include "wire/json.h"
#include "wire/sse.h"

namespace gatehouse::wire {

struct A2aAnswer {
  std::string text;  // of messages, of a status and of artifacts, in order; at most 256 KiB
  std::string task;
  std::string context;
  std::string state;  // of the task, as 0.3 writes it: "input-required"
  std::string error;  // its message
};

// A stream is given on in whole events, so that one that breaks off can be ended by an error that
// its reader understands; all that is given on, in order, is the stream.
class A2aAnswerReader {
 public:
  explicit A2aAnswerReader(A2aEndpoint::Binding binding) : binding_(binding) {}

  // A piece of a stream. What is given back may be relayed now; it lives until the next call and as
  // long as `piece`. An event that is larger than 16 MiB ends the reading, not the relay.
  [[nodiscard]] std::string_view feed(std::string_view piece);
  // The stream has ended in order: what was still held. The same lifetime.
  [[nodiscard]] std::string_view finish();
  // An answer that is no stream. What cannot be read is left out.
  void read_whole(std::string_view body);

  [[nodiscard]] const A2aAnswer& answer() const { return answer_; }
  // Whether all that was given on are whole events, so that another may follow.
  [[nodiscard]] bool is_between_events() const { return !is_broken_; }
  // The event by which the binding tells of an error; `id` is that of the request.
  [[nodiscard]] std::string error_event(std::string_view id, const A2aError& error) const;

 private:
  void read_payload(const JsonValue& value);
  void read_thing(const JsonObject& thing);
  void read_status(const JsonObject& status);
  void read_texts(const JsonObject& of, bool continues);

  A2aEndpoint::Binding binding_;
  A2aAnswer answer_;
  SseParser events_{16 * 1024 * 1024};
  std::string out_;
  std::size_t given_on_ = 0;  // of the event that has not ended
  bool is_broken_ = false;
};

}  // namespace gatehouse::wire
