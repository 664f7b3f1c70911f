// SPDX-License-Identifier: Apache-2.0
// An OpenAI chat caller at a provider of another dialect: its request in that dialect, and the
// answer, whole or streamed, back in its own. Sans-I/O. What cannot be carried over is an error
// that names it, never dropped; docs/providers.md has the table for people.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/llm.h"

namespace gatehouse::wire {

// What a translation goes to and comes back from.
enum class TranslatedTo : std::uint8_t { kAnthropic, kGemini };

struct TranslatedRequest {
  std::string path;  // with its query: "/v1/messages", "/v1beta/models/M:generateContent"
  std::string body;
  bool stream = false;
  bool wants_usage = false;  // the caller asked for the usage chunk
};

// `chat` is the body of a POST to /v1/chat/completions; `model` is the provider's name for the
// model. `max_tokens` is what Anthropic, which must be told, is told where the caller says nothing.
// Errors: kInvalid when it is no such body, kUnsupported for what the provider has no words for.
[[nodiscard]] Result<TranslatedRequest> translated_request(TranslatedTo to, std::string_view chat,
                                                           std::string_view model,
                                                           std::int64_t max_tokens);

// One answer to a translated request.
class AnswerTranslation {
 public:
  // `created_unix_s` is what chunks say of when; `wants_usage` asks for the chunk with the usage.
  AnswerTranslation(TranslatedTo from, std::int64_t created_unix_s, bool wants_usage);
  AnswerTranslation(AnswerTranslation&&) noexcept;
  AnswerTranslation& operator=(AnswerTranslation&&) noexcept;
  ~AnswerTranslation();

  // An answer that is no stream, as a `chat.completion`. Errors: kUpstream when it is none of the
  // provider's dialect or holds what a chat has no words for.
  [[nodiscard]] Result<std::string> whole(std::string_view body);
  // A piece of a stream (server-sent events): the chunks that it comes to, which may be none.
  // Any chunking gives the same bytes. Errors: as of whole(), and then for ever; what was
  // given before stands, and an error's event in the caller's dialect may follow it.
  [[nodiscard]] Result<std::string> feed(std::string_view piece);
  // The stream has ended. Errors: kUpstream when the provider had not: no [DONE] is made up.
  [[nodiscard]] Result<std::string> finish();
  // What the provider said of tokens, and all else of the answer.
  [[nodiscard]] const LlmAnswer& answer() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The body of an answer that is no success, as an OpenAI error with the provider's own message.
[[nodiscard]] std::string translated_error(TranslatedTo from, int status, std::string_view body);

}  // namespace gatehouse::wire
