// SPDX-License-Identifier: Apache-2.0
// What the dialects' readers have in common, and each reader by name. For wire/llm*.cc only; the
// face is llm.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/json.h"
#include "wire/llm.h"

namespace gatehouse::wire {

[[nodiscard]] Failure wrong_type(std::string_view member, std::string_view type);

// The member unless it is absent or null.
[[nodiscard]] const JsonValue* present(const JsonObject& object, std::string_view key);
// Errors: kInvalid when it is there and no boolean.
[[nodiscard]] Result<bool> flag(const JsonObject& object, std::string_view key);
// A count; 0 where it is none.
[[nodiscard]] std::int64_t integer(const JsonObject& object, std::string_view key);
[[nodiscard]] bool has_integer(const JsonObject& object, std::string_view key);
// An object member of an object, empty if there is none.
[[nodiscard]] Result<JsonObject> inner(const JsonObject& object, std::string_view key);
// The elements of an array member, none if there is no such member. Errors: kInvalid when it is
// there and no array.
[[nodiscard]] Result<std::vector<JsonValue>> elements(const JsonObject& object,
                                                      std::string_view key,
                                                      const KnownJson& known = {});
[[nodiscard]] std::string text_or(const JsonObject& object, std::string_view key);
// A line more, unless it is empty.
void add_line(std::string& text, std::string_view line);
// The largest number where the sum would pass it.
[[nodiscard]] std::int64_t saturated_sum(std::int64_t a, std::int64_t b);
// The model that a body names, "" for none. Errors: kInvalid when it is no string.
[[nodiscard]] Result<std::string> model_of(const JsonObject& body);
// What a body names beside it for a router to fall back on: `models` and `fallbacks` of OpenRouter,
// LiteLLM and their like, names or objects with a `model`. Errors: kInvalid for anything else.
[[nodiscard]] Result<std::vector<std::string>> other_models_of(const JsonObject& body);
// A string, or an array of parts of which some have a `text`: those, a line each. Errors: kInvalid
// for anything else.
[[nodiscard]] Result<std::string> text_of_content(const JsonValue* content);
// A request's body.
struct RequestText {
  std::string_view json;
  const KnownJson& known;
};
// The elements of a body's conversation.
struct Conversation {
  std::string_view key;  // of the body's member that they are of
  const std::vector<JsonValue>& all;
  // One that may have this word in it says more than what is said: it is looked into each time.
  std::string_view telling = {};
};
// What stands behind the last thing that the model said, or that is known, which `request` is told:
// `is_answer` tells, of an object, whether the model said it. Where nothing is new, known ones too.
template <class IsAnswer>
[[nodiscard]] Result<std::span<const JsonValue>> since_last_answer(std::span<const JsonValue> all,
                                                                   const KnownJson& known,
                                                                   LlmRequest& request,
                                                                   IsAnswer is_answer) {
  std::size_t first = all.size();
  const bool is_any_new = first > 0 && !known.holds(all.back());
  while (first > 0) {
    const JsonValue& before = all[first - 1];
    if (is_any_new && known.holds(before)) {
      request.is_new_alone = is_answer(TRY(scan_object(before.raw)));
      break;
    }
    if (is_answer(TRY(scan_object(before.raw)))) break;
    --first;
  }
  return all.subspan(first);
}
[[nodiscard]] inline Result<std::span<const JsonValue>> since_role(std::span<const JsonValue> all,
                                                                   const KnownJson& known,
                                                                   LlmRequest& request,
                                                                   std::string_view role) {
  return since_last_answer(all, known, request, [role](const JsonObject& message) {
    return message.string("role") == role;
  });
}
// The request's `parts`.
void note_parts(const RequestText& text, const JsonObject& body, const Conversation& conversation,
                LlmRequest& request);
// Whether a decoded string of `json` may be `word`, an ASCII one: false is sure.
[[nodiscard]] bool may_say(std::string_view json, std::string_view word);
// web_search_20250305 -> web_search, web_search_preview_2025_03_11 -> web_search_preview.
[[nodiscard]] std::string without_version(std::string_view tool);
// "mcp:host.example" for a remote server's URL; "mcp" where it names no host.
[[nodiscard]] std::string mcp_tool(std::string_view url);

// Tools of a request. Errors: kTooMany above 4096.
[[nodiscard]] Result<void> add_tool(LlmRequest& request, std::string name);
[[nodiscard]] Result<void> add_provider_tool(LlmRequest& request, std::string name);

// An answer that is put together, within bounds.
class AnswerBuilder {
 public:
  LlmAnswer answer;
  std::int64_t sequence = -1;  // OpenAI responses: of the last event

  void add_text(std::string_view part) { append(answer.text, part); }
  void add_reasoning(std::string_view part) { append(answer.reasoning, part); }
  // The tool call of that key (an index in the stream), made when it is new. Errors: kTooMany above
  // 256.
  [[nodiscard]] Result<LlmToolCall*> tool_call(std::int64_t key);
  [[nodiscard]] LlmToolCall* known_tool_call(std::int64_t key);
  void append(std::string& to, std::string_view part);
  // Errors: kTooLarge when what was appended passes 16 MiB: it is no longer all there.
  [[nodiscard]] Result<void> fits() const;

 private:
  std::map<std::int64_t, std::size_t> slots_;
  std::size_t size_ = 0;
  bool is_over_ = false;
};

// Each reads a whole request; what it does not know it leaves alone.
[[nodiscard]] Result<LlmRequest> openai_chat_request(const RequestText& text);
[[nodiscard]] Result<LlmRequest> openai_other_request(LlmOperation operation,
                                                      std::string_view body);
[[nodiscard]] Result<LlmRequest> openai_media_request(LlmOperation operation,
                                                      std::string_view body);
[[nodiscard]] Result<LlmRequest> openai_media_form(LlmOperation operation,
                                                   std::string_view content_type,
                                                   std::string_view body);
[[nodiscard]] Result<LlmRequest> openai_responses_request(const RequestText& text);
// The messages of what has no more than an `input`, and tools that these bring.
[[nodiscard]] Result<LlmRequest> openai_responses_input(const RequestText& text);
[[nodiscard]] Result<LlmRequest> anthropic_request(const RequestText& text);
[[nodiscard]] Result<LlmRequest> gemini_request(LlmOperation operation, const RequestText& text);
[[nodiscard]] Result<LlmRequest> bedrock_request(const RequestText& text);

// Each reads a whole answer, or the data of one event of a stream.
[[nodiscard]] Result<void> read_openai_chat(std::string_view body, AnswerBuilder& into);
[[nodiscard]] Result<void> read_openai_chat_event(std::string_view data, AnswerBuilder& into);
[[nodiscard]] Result<void> read_openai_other(std::string_view body, AnswerBuilder& into);
[[nodiscard]] Result<void> read_openai_other_event(std::string_view data, AnswerBuilder& into);
[[nodiscard]] Result<void> read_openai_media(std::string_view body, AnswerBuilder& into);
[[nodiscard]] Result<void> read_openai_media_event(std::string_view data, AnswerBuilder& into);
[[nodiscard]] Result<void> read_openai_responses(std::string_view body, AnswerBuilder& into);
[[nodiscard]] Result<void> read_openai_responses_event(std::string_view data, AnswerBuilder& into);
[[nodiscard]] Result<void> read_anthropic(std::string_view body, AnswerBuilder& into);
[[nodiscard]] Result<void> read_anthropic_event(std::string_view data, AnswerBuilder& into);
// Also what one element of a stream is.
[[nodiscard]] Result<void> read_gemini(std::string_view body, AnswerBuilder& into);
[[nodiscard]] Result<void> read_bedrock(std::string_view body, AnswerBuilder& into);
[[nodiscard]] Result<void> read_bedrock_event(std::string_view message_type, std::string_view type,
                                              std::string_view data, AnswerBuilder& into);

// Whether it is the chunk of an OpenAI chat stream that carries the usage and nothing else.
[[nodiscard]] bool is_usage_chunk(std::string_view data);

}  // namespace gatehouse::wire
