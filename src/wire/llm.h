// SPDX-License-Identifier: Apache-2.0
// Model providers' protocols behind one face: what is asked, what is answered and what it cost, in
// the same words for each dialect. Sans-I/O; bytes that are relayed keep as they are.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "wire/json.h"
#include "wire/known_json.h"
#include "wire/llm_endpoint.h"

namespace gatehouse::wire {

struct LlmMessage {
  std::string role;  // user, tool, system, developer, assistant
  std::string text;  // the text parts of its content, a line each
};

// Of a request's body, what may be said again in the next one: an element of its conversation, or
// another large member's value.
struct LlmPart {
  std::size_t at = 0;
  std::size_t size = 0;
  bool is_message = false;  // where it stands again in a body, it is KnownJson there
  friend bool operator==(const LlmPart&, const LlmPart&) = default;
};

// What a request to a governed endpoint asks for.
struct LlmRequest {
  std::string model;
  std::vector<std::string> other_models;  // that a router may ask in its place
  bool stream = false;
  bool asks_for_usage = false;              // OpenAI chat: stream_options.include_usage
  std::int64_t max_tokens = 0;              // of output; 0: not said
  std::vector<std::string> tools;           // names of those that the caller runs
  std::vector<std::string> provider_tools;  // those that run at the provider, past the gateway
  // Those after the model's last answer, without those that are known, if any are not.
  std::vector<LlmMessage> new_messages;
  // Whether the body alone, with nothing known, says the same `new_messages`.
  bool is_new_alone = true;
  std::vector<LlmPart> parts;  // in order; what is small is in none
  // OpenAI chat: what makes a stream's body that does not ask for usage one that does, with all
  // other bytes as they were.
  std::optional<TextEdit> usage_edit;

  // Errors: kInvalid when it is no JSON object, repeats a key, lacks what the operation cannot be
  // without, or has a member above in another type than the provider's; kTooMany above 4096 tools.
  // `known` are parts of the body that were messages in one that was parsed before: they are not
  // looked into again, which changes nothing but `new_messages`.
  [[nodiscard]] static Result<LlmRequest> parse(const LlmEndpoint& endpoint, std::string_view body,
                                                const KnownJson& known = {});
  // The same of a body that is a form (form.h), at an endpoint that takes_forms().
  [[nodiscard]] static Result<LlmRequest> parse_form(const LlmEndpoint& endpoint,
                                                     std::string_view content_type,
                                                     std::string_view body);
};

// What a call used, in tokens. `input` and `output` are all of it; what is listed below each is a
// part of it.
struct Usage {
  std::int64_t input = 0;
  std::int64_t cache_read = 0;
  std::int64_t cache_write_5m = 0;  // written to a cache that lives five minutes, or does not say
  std::int64_t cache_write_1h = 0;
  std::int64_t input_audio = 0;
  std::int64_t output = 0;
  std::int64_t reasoning = 0;
  std::int64_t output_audio = 0;
  bool is_estimated = false;  // counted from bytes: the provider did not say
  friend bool operator==(const Usage&, const Usage&) = default;
};

struct LlmToolCall {
  std::string id;
  std::string name;
  std::string arguments;     // JSON, or text for a tool that takes text
  bool at_provider = false;  // the provider ran it
};

struct LlmAnswer {
  std::string id;
  std::string model;
  std::string text;       // of the first choice, as are the next three
  std::string reasoning;  // or the summary that the provider gives of it
  std::string finish_reason;
  std::vector<LlmToolCall> tool_calls;
  std::size_t choices = 0;
  std::optional<Usage> usage;
  std::int64_t audio_seconds = 0;  // of sound that was read, where that is what is billed
  std::string error;         // what the provider says went wrong, after it had begun to answer
  bool is_complete = false;  // it has ended the way its dialect ends

  // The usage; where the provider said none, or the answer was cut, an estimate from the bytes of
  // both sides, and not less than what was said.
  [[nodiscard]] Usage usage_or_estimate(std::size_t request_bytes) const;
};

// As the record has them: [{"role":"user","text":"..."}], and
// [{"id":"...","name":"...","arguments":"..."}] with "at_provider":true where it is so.
[[nodiscard]] std::string json_of(const std::vector<LlmMessage>& messages);
[[nodiscard]] std::string json_of(const std::vector<LlmToolCall>& calls);

// An error of ours, to be told in a dialect.
struct LlmError {
  int status = 500;        // HTTP's
  std::string_view label;  // of base/result.h
  std::string_view rule;   // what refused it; "" for none
  std::string_view message;
};

// Reads an answer beside its relay. A stream is given on in whole events, so that one that breaks
// off can be ended by an error that its reader understands; all that is given on, in order, is the
// stream, but for a usage chunk that is hidden.
class LlmAnswerReader {
 public:
  enum class Form : std::uint8_t {
    kWhole,
    kEvents,     // server-sent events
    kJsonArray,  // Gemini's stream without them
    kFrames,     // AWS's event stream
    kMessages,   // of a WebSocket: each piece is an event
  };

  LlmAnswerReader(const LlmEndpoint& endpoint, Form form, bool hides_usage = false);
  LlmAnswerReader(LlmAnswerReader&&) noexcept;
  LlmAnswerReader& operator=(LlmAnswerReader&&) noexcept;
  ~LlmAnswerReader();

  // How an answer of that content type, with a status of 2xx, comes.
  [[nodiscard]] static Form form_of(const LlmEndpoint& endpoint, std::string_view content_type);

  // A piece of a stream. What is given back may be relayed now; it lives until the next call and as
  // long as `piece`. An event that is larger than 16 MiB ends the reading, not the relay.
  [[nodiscard]] std::string_view feed(std::string_view piece);
  // The stream has ended in order: what was still held. The same lifetime.
  [[nodiscard]] std::string_view finish();
  // An answer that is no stream. Errors: kUpstream when it is none of its dialect's.
  Result<void> read_whole(std::string_view body);

  // Reads what of the events was put off, so that they could be relayed first; whoever asks for the
  // answer need not call it before.
  void catch_up();
  [[nodiscard]] const LlmAnswer& answer();
  // Whether all that was given on are whole events, so that another may follow.
  [[nodiscard]] bool is_between_events() const { return !is_broken_; }
  // The event, in the stream's framing, by which the dialect tells of an error.
  [[nodiscard]] std::string error_event(const LlmError& error);

 private:
  struct State;
  struct Event;
  void give(std::string_view part, std::string_view piece);
  void put_off(const Event& event);
  void read_event(const Event& event);
  [[nodiscard]] bool is_hidden(const Event& event) const;

  LlmDialect dialect_;
  Form form_;
  bool hides_usage_;
  bool is_broken_ = false;
  std::size_t given_on_ = 0;  // of the event that has not ended
  std::string out_;           // what was given last ...
  std::string_view direct_;   // ... or where it lies in the piece
  std::unique_ptr<State> state_;
};

// The body of a response that refuses.
[[nodiscard]] std::string llm_error_json(LlmProvider provider, const LlmError& error);

// An estimate on the high side for reservations, not a bound: two bytes a token, where prose, code
// and JSON need three or four. Dense scripts and noise can make up to one token a byte. The settled
// figure is the provider's.
[[nodiscard]] std::int64_t estimate_tokens(std::size_t bytes);

}  // namespace gatehouse::wire
