// SPDX-License-Identifier: Apache-2.0
// OpenAI's Chat Completions, as rules, budgets and transcripts need it: read in place, edited by
// splicing into the caller's own bytes. (https://platform.openai.com/docs/api-reference/chat)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gatehouse::wire {

struct OpenAiMessage {
  std::string role;
  std::string text;  // the text parts of its content, a line each
};

struct OpenAiRequest {
  std::string model;
  bool stream = false;
  bool include_usage = false;  // stream_options.include_usage
  std::size_t messages = 0;
  std::vector<std::string> tools;           // names of functions that the caller runs
  std::vector<std::string> provider_tools;  // types of tools that run at the provider
  std::vector<OpenAiMessage> new_messages;  // those after the model's last answer
  std::int64_t max_tokens = 0;              // max_completion_tokens or max_tokens; 0: not said

  // Errors: kInvalid when it is no JSON object, repeats a key, has no model or messages, or one of
  // the members above has another type than OpenAI's.
  [[nodiscard]] static Result<OpenAiRequest> parse(std::string_view body);
};

struct OpenAiUsage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;     // of prompt_tokens
  std::int64_t reasoning_tokens = 0;  // of completion_tokens
  friend bool operator==(const OpenAiUsage&, const OpenAiUsage&) = default;
};

struct OpenAiToolCall {
  std::string id;
  std::string name;
  std::string arguments;
};

// Of choice 0; `choices` says whether there were others.
struct OpenAiAnswer {
  std::string model;
  std::string text;
  std::string reasoning;  // `reasoning_content` or `reasoning`
  std::string finish_reason;
  std::vector<OpenAiToolCall> tool_calls;
  std::optional<OpenAiUsage> usage;
  std::size_t choices = 0;

  // Of a response that is not streamed. Errors: kUpstream.
  [[nodiscard]] static Result<OpenAiAnswer> parse(std::string_view body);
};

// A streamed answer, put together.
class OpenAiStream {
 public:
  // The data of one event. Errors: kUpstream when it is no chunk of an answer (or one with
  // `error`); kTooLarge above 16 MiB of text or kTooMany above 256 tool calls. What was read before
  // stays.
  [[nodiscard]] Result<void> feed(std::string_view data);
  [[nodiscard]] bool done() const { return done_; }  // [DONE] was seen
  [[nodiscard]] const OpenAiAnswer& answer() const { return answer_; }

 private:
  OpenAiAnswer answer_;
  std::size_t size_ = 0;
  bool done_ = false;
};

// An estimate on the high side for reservations, not a bound: two bytes a token, where prose, code
// and JSON need three or four. Dense scripts and noise can make up to one token a byte. The settled
// figure is the provider's.
[[nodiscard]] std::int64_t estimate_tokens(std::size_t bytes);

// {"error":{"message":...,"type":...,"param":null,"code":...}}; an empty code is null. `status`
// goes into the message's place only where `message` is empty.
[[nodiscard]] std::string openai_error_json(int status, std::string_view type,
                                            std::string_view code, std::string_view message);

// `body` with stream_options.include_usage true, all other bytes as they were.
// Errors: as OpenAiRequest::parse of the members that it touches.
[[nodiscard]] Result<std::string> with_include_usage(std::string_view body);

}  // namespace gatehouse::wire
