// SPDX-License-Identifier: Apache-2.0
// An OpenAI chat request taken apart, strictly: what is not understood is refused, since it could
// not be carried over. For wire/translation*.cc only; the face is translation.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "wire/json.h"
#include "wire/llm_parts.h"
#include "wire/translation.h"

namespace gatehouse::wire {

// A part of a message's content.
struct ChatPart {
  enum class Kind : std::uint8_t { kText, kImage, kImageUrl, kAudio, kFile };
  Kind kind = Kind::kText;
  std::string text;        // of kText; the URL of kImageUrl
  std::string media_type;  // of what has data
  std::string data;        // Base64
  std::string name;        // a file's
};

struct ChatToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // a JSON object
  std::string signature;  // Gemini's thought signature, which it wants back
};

// What a model thought before it answered, as the provider that signed it wants it back.
struct ChatThinking {
  std::string text;
  std::string signature;
  std::string redacted;  // sealed: then there is nothing else
};

struct ChatMessage {
  enum class Role : std::uint8_t { kSystem, kUser, kAssistant, kTool };
  Role role = Role::kUser;
  std::vector<ChatPart> parts;
  std::vector<ChatThinking> thinking;
  std::vector<ChatToolCall> tool_calls;
  std::string tool_call_id;
  std::string tool_name;  // of the call that a tool's message answers
};

struct ChatTool {
  std::string name;
  std::string description;
  std::string_view parameters;  // JSON; "" for none
  bool strict = false;
};

enum class ChatToolChoice : std::uint8_t { kAuto, kNone, kRequired, kNamed };

struct ChatRequest {
  std::vector<ChatMessage> system;  // those that stand first
  std::vector<ChatMessage> messages;
  std::vector<ChatTool> tools;
  std::optional<ChatToolChoice> tool_choice;
  std::string named_tool;
  bool parallel_tools = true;
  bool stream = false;
  bool wants_usage = false;
  std::int64_t max_tokens = 0;  // 0: not said
  std::vector<std::string> stop;
  std::string user;
  std::string reasoning_effort;
  std::string_view temperature;  // numbers as they stand; "" for none
  std::string_view top_p;
  std::string_view seed;
  std::string_view frequency_penalty;
  std::string_view presence_penalty;
  bool wants_json = false;           // response_format json_object
  std::string_view response_schema;  // of response_format json_schema

  // Views of `body`. Errors: those of translated_request.
  [[nodiscard]] static Result<ChatRequest> parse(std::string_view body);
};

[[nodiscard]] Failure not_carried(std::string_view what, std::string_view provider);
// All of a message's text parts, a line each. Errors: kUnsupported where it has another part.
[[nodiscard]] Result<std::string> only_text(const ChatMessage& message, std::string_view provider);

[[nodiscard]] Result<TranslatedRequest> anthropic_from_chat(const ChatRequest& chat,
                                                            std::string_view model,
                                                            std::int64_t max_tokens);
[[nodiscard]] Result<TranslatedRequest> gemini_from_chat(const ChatRequest& chat,
                                                         std::string_view model);

// What an answer goes into: a chat's choice, as it grows.
class ChatSink {
 public:
  virtual void text(std::string_view part) = 0;
  virtual void reasoning(std::string_view part) = 0;
  virtual void thinking(const ChatThinking& block) = 0;
  virtual void begin_tool(std::string_view id, std::string_view name,
                          std::string_view signature) = 0;
  virtual void tool_arguments(std::string_view part) = 0;
  virtual void finished(std::string_view reason) = 0;  // stop, length, tool_calls, content_filter

 protected:
  ~ChatSink() = default;
};

// Reads a provider's answer, whole or in events, into a sink.
class AnthropicToChat {
 public:
  Result<void> whole(std::string_view body, ChatSink& into);
  // Errors: kUpstream for what a chat has no words for, and for the provider's own error event.
  Result<void> event(std::string_view data, ChatSink& into);
  [[nodiscard]] bool has_ended() const { return has_ended_; }

 private:
  Result<void> begin_block(const JsonObject& block, ChatSink& into);
  Result<void> delta(const JsonObject& delta, ChatSink& into);
  Result<void> end_block(ChatSink& into);

  enum class Block : std::uint8_t { kNone, kText, kThinking, kTool };
  Block block_ = Block::kNone;
  ChatThinking thinking_;
  bool has_arguments_ = false;
  bool has_ended_ = false;
};

class GeminiToChat {
 public:
  // A whole answer, or one element of a stream. Errors: as above.
  Result<void> event(std::string_view data, ChatSink& into);
  [[nodiscard]] bool has_ended() const { return has_ended_; }

 private:
  Result<void> part(const JsonObject& part, ChatSink& into);
  Result<void> candidate(const JsonObject& candidate, ChatSink& into);

  std::string response_id_;
  std::size_t calls_ = 0;
  bool has_ended_ = false;
};

}  // namespace gatehouse::wire
