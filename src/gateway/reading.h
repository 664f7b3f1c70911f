// SPDX-License-Identifier: Apache-2.0
// Reading: what a Call's answer says of itself, read beside the relay: text, reasoning, tool calls
// and usage of a model, the result of a tool, what another agent says. Whatever happens, what was
// read so far goes into the settling Entry.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/exchange.h"
#include "wire/a2a_answer.h"
#include "wire/http1.h"
#include "wire/sse.h"

namespace gatehouse::gateway {

class Reading {
 public:
  // `of` outlives this.
  Reading(Intent& intent, const Exchange& of)
      : intent_(intent), of_(of), kept_(of.gate->bodies, of.door->bodies) {}
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  // Tells the Intent, also when the Exchange is cancelled in the middle.
  ~Reading();

  // The agent did not ask for the usage in a stream: it does not get it either.
  void hide_usage(bool hides) { hides_usage_ = hides; }
  [[nodiscard]] bool hides_usage() const { return hides_usage_; }
  void begin(const wire::ResponseHead& head);
  // What goes to the agent was carried over from another dialect, in which this was said. It
  // outlives this.
  void read_instead(const wire::LlmAnswer& upstreams) { upstreams_ = &upstreams; }
  // The answer comes as messages of a WebSocket, of which each is taken whole.
  void begin_messages();
  // What was sent got no answer: it may have cost all the same, as much as its bytes say.
  void book_unanswered();
  // A piece of the request's body that was relayed unread.
  void sent(std::string_view payload);
  // A piece of the answer's body. What is given back goes to the agent now; it lives until the next
  // call and as long as `payload`.
  [[nodiscard]] std::string_view take(std::string_view payload);
  // Understands what was taken: what goes to the agent does not wait for that.
  void catch_up() {
    if (model_) model_->catch_up();
  }
  // The answer has ended in order: what goes to the agent yet.
  [[nodiscard]] std::string_view finish();
  // Whether nothing of the answer goes to the agent before all of it has come: an agent's card, or
  // a list of models that names are added to, is edited as a whole.
  [[nodiscard]] bool holds_back() const { return held_ != nullptr; }
  // Of such an answer, once it has ended: what goes to the agent. Errors: kUpstream, kTooLarge,
  // kExhausted.
  [[nodiscard]] Result<std::string> edited();
  // The event that tells the agent, in its stream's dialect, why there is no more of it; "" where
  // the stream has none, or an event of it is not whole. It is a part of the answer.
  [[nodiscard]] std::string error_event(const Error& error);

 private:
  void keep(std::string_view payload);
  void keep(std::string_view payload, std::string& in, std::uint64_t before);
  void read_events(std::string_view payload);
  void tell_llm(const LlmCall& call);
  void tell_said(const wire::LlmAnswer& answer);
  void tell_usage(const LlmCall& call, const wire::LlmAnswer& answer);
  // `used`: nothing where nobody can say.
  void tell_cost(const wire::LlmAnswer& answer, const std::optional<wire::Usage>& used);
  void tell_unanswered();
  void note_beginning();
  // An answer that is held back.
  struct Held {
    std::string text;
    std::optional<Error> why_not;      // it is not
    std::vector<std::string> aliases;  // that are added to a list of models; none: it is a card
  };
  // Of attempts that got no answer, all together.
  struct Unanswered {
    std::uint64_t attempts = 0;
    std::int64_t input_tokens = 0;
    std::optional<std::int64_t> micro_usd = 0;  // nothing where nobody says the price of one
  };
  void hold(std::string_view payload);
  void tell_tool(const ToolCall& call);
  void tell_agent();

  Intent& intent_;
  const Exchange& of_;
  Room::Share kept_;
  std::string request_;  // what is kept of it
  std::string answer_;
  std::uint64_t request_bytes_ = 0;
  std::uint64_t answer_bytes_ = 0;
  bool has_answer_ = false;  // on record
  bool is_stream_ = false;
  bool is_messages_ = false;
  bool hides_usage_ = false;
  std::unique_ptr<wire::SseParser> events_;     // of a tool's answer, while they can be read
  std::optional<wire::LlmAnswerReader> model_;  // of a model's answer, once it has begun
  const wire::LlmAnswer* upstreams_ = nullptr;  // of another dialect; null: the agent's own
  std::string tool_answer_;
  // From the request until there was something of a model's stream: a piece, what the model says.
  Nanos first_chunk_{};
  Nanos first_token_{};
  std::unique_ptr<Unanswered> unanswered_;        // null: none
  std::unique_ptr<wire::A2aAnswerReader> agent_;  // of another agent's answer, once it has begun
  std::unique_ptr<Held> held_;
};

}  // namespace gatehouse::gateway
