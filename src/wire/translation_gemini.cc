// SPDX-License-Identifier: Apache-2.0
// A chat at Gemini's generateContent, and back. (https://ai.google.dev/api/generate-content)
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "wire/translation_chat.h"

namespace gatehouse::wire {
namespace {

constexpr std::string_view kName = "Gemini";

Result<void> write_part(JsonWriter& out, const ChatPart& part) {
  if (part.kind == ChatPart::Kind::kText) {
    out.begin_object().key("text").string(part.text).end_object();
    return {};
  }
  if (part.kind == ChatPart::Kind::kImageUrl) {
    return not_carried("an image that is named by a URL (send it as a data: URL)", kName);
  }
  out.begin_object().key("inlineData").begin_object().key("mimeType").string(part.media_type);
  out.key("data").string(part.data).end_object().end_object();
  return {};
}

Result<void> write_parts(JsonWriter& out, const ChatMessage& message) {
  if (message.role == ChatMessage::Role::kTool) {
    const std::string text = TRY(only_text(message, kName));
    out.begin_object().key("functionResponse").begin_object();
    out.key("id").string(message.tool_call_id).key("name").string(message.tool_name);
    out.key("response").begin_object().key("output").string(text).end_object();
    out.end_object().end_object();
    return {};
  }
  if (!message.thinking.empty()) return not_carried("messages[].thinking_blocks", kName);
  for (const ChatPart& part : message.parts) {
    if (part.kind == ChatPart::Kind::kText && part.text.empty()) continue;
    TRY(write_part(out, part));
  }
  for (const ChatToolCall& call : message.tool_calls) {
    out.begin_object().key("functionCall").begin_object().key("id").string(call.id);
    out.key("name").string(call.name).key("args").raw(call.arguments).end_object();
    if (!call.signature.empty()) out.key("thoughtSignature").string(call.signature);
    out.end_object();
  }
  return {};
}

Result<void> write_contents(JsonWriter& out, const ChatRequest& chat) {
  if (!chat.system.empty()) {
    out.key("systemInstruction").begin_object().key("parts").begin_array();
    for (const ChatMessage& message : chat.system) {
      const std::string text = TRY(only_text(message, kName));
      out.begin_object().key("text").string(text).end_object();
    }
    out.end_array().end_object();
  }
  out.key("contents").begin_array();
  const auto is_model = [](const ChatMessage& message) {
    return message.role == ChatMessage::Role::kAssistant;
  };
  for (auto at = chat.messages.begin(); at != chat.messages.end();) {
    const bool model = is_model(*at);
    out.begin_object().key("role").string(model ? "model" : "user").key("parts").begin_array();
    while (at != chat.messages.end() && is_model(*at) == model) TRY(write_parts(out, *at++));
    out.end_array().end_object();
  }
  out.end_array();
  return {};
}

Result<void> write_tools(JsonWriter& out, const ChatRequest& chat) {
  if (!chat.tools.empty()) {
    out.key("tools").begin_array().begin_object().key("functionDeclarations").begin_array();
    for (const ChatTool& tool : chat.tools) {
      out.begin_object().key("name").string(tool.name);
      if (!tool.description.empty()) out.key("description").string(tool.description);
      if (!tool.parameters.empty()) out.key("parametersJsonSchema").raw(tool.parameters);
      out.end_object();
    }
    out.end_array().end_object().end_array();
  }
  if (!chat.parallel_tools) return not_carried("parallel_tool_calls: false", kName);
  const bool strict = std::ranges::any_of(chat.tools, &ChatTool::strict);
  if (!chat.tool_choice && !strict) return {};
  const ChatToolChoice choice = chat.tool_choice.value_or(ChatToolChoice::kAuto);
  // VALIDATED is AUTO with calls that keep to their schema, as ANY's do.
  static constexpr std::array<std::string_view, 4> kModes = {"AUTO", "NONE", "ANY", "ANY"};
  std::string_view mode = kModes.at(static_cast<std::size_t>(choice));
  if (strict && choice == ChatToolChoice::kAuto) mode = "VALIDATED";
  out.key("toolConfig").begin_object().key("functionCallingConfig").begin_object();
  out.key("mode").string(mode);
  if (choice == ChatToolChoice::kNamed) {
    out.key("allowedFunctionNames").begin_array().string(chat.named_tool).end_array();
  }
  out.end_object().end_object();
  return {};
}

Result<void> write_thinking(JsonWriter& out, std::string_view effort) {
  if (effort.empty()) return {};
  out.key("thinkingConfig").begin_object();
  if (effort == "none") {
    out.key("thinkingBudget").integer(0).end_object();
    return {};
  }
  out.key("includeThoughts").boolean(true).key("thinkingLevel");
  if (effort == "minimal") {
    out.string("MINIMAL");
  } else if (effort == "low") {
    out.string("LOW");
  } else if (effort == "medium") {
    out.string("MEDIUM");
  } else if (effort == "high") {
    out.string("HIGH");
  } else {
    return not_carried("reasoning_effort '" + std::string(effort) + "'", kName);
  }
  out.end_object();
  return {};
}

Result<void> write_generation(JsonWriter& out, const ChatRequest& chat) {
  if (!chat.user.empty()) return not_carried("user", kName);
  out.key("generationConfig").begin_object();
  const auto number = [&out](std::string_view key, std::string_view value) {
    if (!value.empty()) out.key(key).raw(value);
  };
  if (chat.max_tokens > 0) out.key("maxOutputTokens").integer(chat.max_tokens);
  number("temperature", chat.temperature);
  number("topP", chat.top_p);
  number("seed", chat.seed);
  number("frequencyPenalty", chat.frequency_penalty);
  number("presencePenalty", chat.presence_penalty);
  if (!chat.stop.empty()) {
    out.key("stopSequences").begin_array();
    for (const std::string& stop : chat.stop) out.string(stop);
    out.end_array();
  }
  if (chat.wants_json || !chat.response_schema.empty()) {
    out.key("responseMimeType").string("application/json");
  }
  if (!chat.response_schema.empty()) out.key("responseJsonSchema").raw(chat.response_schema);
  TRY(write_thinking(out, chat.reasoning_effort));
  out.end_object();
  return {};
}

Failure no_words_for(std::string_view what) {
  return failure(Error::kUpstream, "the answer has " + std::string(what)
                                       + ", which a chat completion has no words for");
}

// A model's name as one segment of a path.
Result<std::string> segment(std::string_view model) {
  const bool plain = std::ranges::all_of(model, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'
           || c == '.' || c == '_';
  });
  if (model.empty() || !plain) {
    return failure(Error::kInvalid, "'" + std::string(model) + "' is no model's name at Gemini");
  }
  return std::string(model);
}

}  // namespace

Result<TranslatedRequest> gemini_from_chat(const ChatRequest& chat, std::string_view model) {
  JsonWriter out;
  out.begin_object();
  TRY(write_contents(out, chat));
  TRY(write_tools(out, chat));
  TRY(write_generation(out, chat));
  out.end_object();
  const std::string verb = chat.stream ? "streamGenerateContent?alt=sse" : "generateContent";
  return TranslatedRequest{"/v1beta/models/" + TRY(segment(model)) + ":" + verb,
                           std::move(out).text(), chat.stream, chat.wants_usage};
}

Result<void> GeminiToChat::part(const JsonObject& part, ChatSink& into) {
  for (const JsonMember& member : part.members) {
    const bool known = member.key == "text" || member.key == "thought"
                       || member.key == "thoughtSignature" || member.key == "functionCall"
                       || member.key == "partMetadata";
    if (!known) return no_words_for("a part with '" + member.key + "'");
  }
  if (const auto text = part.string("text"); text && !text->empty()) {
    if (TRY(flag(part, "thought"))) {
      into.reasoning(*text);
    } else {
      into.text(*text);
    }
  }
  const JsonObject call = TRY(inner(part, "functionCall"));
  if (call.members.empty()) return {};
  ++calls_;
  std::string id = text_or(call, "id");
  // Gemini need not name its calls, a chat must: by the answer and their order in it.
  if (id.empty()) id = fmt::format("call_{}_{}", response_id_, calls_ - 1);
  into.begin_tool(id, text_or(call, "name"), text_or(part, "thoughtSignature"));
  const JsonValue* const args = present(call, "args");
  into.tool_arguments(args != nullptr ? args->raw : "{}");
  return {};
}

Result<void> GeminiToChat::candidate(const JsonObject& candidate, ChatSink& into) {
  for (const std::string_view key : {"citationMetadata", "groundingMetadata"}) {
    if (!TRY(inner(candidate, key)).members.empty()) return no_words_for(key);
  }
  for (const JsonValue& element : TRY(elements(TRY(inner(candidate, "content")), "parts"))) {
    TRY(part(TRY(scan_object(element.raw)), into));
  }
  const auto reason = candidate.string("finishReason");
  if (!reason) return {};
  has_ended_ = true;
  static constexpr std::array<std::string_view, 5> kFiltered = {"SAFETY", "RECITATION", "BLOCKLIST",
                                                                "PROHIBITED_CONTENT", "SPII"};
  if (*reason == "STOP") {
    into.finished(calls_ > 0 ? "tool_calls" : "stop");
  } else if (*reason == "MAX_TOKENS") {
    into.finished("length");
  } else if (std::ranges::find(kFiltered, *reason) != kFiltered.end()) {
    into.finished("content_filter");
  } else {
    return no_words_for("the finish reason '" + *reason + "'");
  }
  return {};
}

Result<void> GeminiToChat::event(std::string_view data, ChatSink& into) {
  const JsonObject body = TRY(scan_object(data));
  if (present(body, "error") != nullptr) {
    return failure(Error::kUpstream,
                   "the provider broke off: " + text_or(TRY(inner(body, "error")), "message"));
  }
  if (response_id_.empty()) response_id_ = text_or(body, "responseId");
  const auto candidates = TRY(elements(body, "candidates"));
  if (candidates.size() > 1) return no_words_for("several candidates");
  for (const JsonValue& element : candidates) {
    TRY(candidate(TRY(scan_object(element.raw)), into));
  }
  if (!text_or(TRY(inner(body, "promptFeedback")), "blockReason").empty()) {
    has_ended_ = true;
    into.finished("content_filter");
  }
  return {};
}

}  // namespace gatehouse::wire
