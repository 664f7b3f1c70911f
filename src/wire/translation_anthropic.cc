// SPDX-License-Identifier: Apache-2.0
// A chat at Anthropic's Messages, and back. (https://docs.anthropic.com/en/api/messages)
#include <array>
#include <charconv>

#include "wire/translation_chat.h"

namespace gatehouse::wire {
namespace {

constexpr std::string_view kName = "Anthropic";

void write_source(JsonWriter& out, const ChatPart& part) {
  out.key("source").begin_object().key("type").string("base64");
  out.key("media_type").string(part.media_type).key("data").string(part.data).end_object();
}

Result<void> write_part(JsonWriter& out, const ChatPart& part) {
  out.begin_object().key("type");
  switch (part.kind) {
    case ChatPart::Kind::kText:
      out.string("text").key("text").string(part.text);
      break;
    case ChatPart::Kind::kImage:
      write_source(out.string("image"), part);
      break;
    case ChatPart::Kind::kImageUrl:
      out.string("image").key("source").begin_object().key("type").string("url");
      out.key("url").string(part.text).end_object();
      break;
    case ChatPart::Kind::kFile:
      if (part.media_type != "application/pdf") {
        return not_carried("a file of type '" + part.media_type + "'", kName);
      }
      write_source(out.string("document"), part);
      if (!part.name.empty()) out.key("title").string(part.name);
      break;
    case ChatPart::Kind::kAudio:
      return not_carried("input_audio", kName);
  }
  out.end_object();
  return {};
}

Result<void> write_system(JsonWriter& out, const ChatRequest& chat) {
  if (chat.system.empty()) return {};
  out.key("system").begin_array();
  for (const ChatMessage& message : chat.system) {
    const std::string text = TRY(only_text(message, kName));
    out.begin_object().key("type").string("text").key("text").string(text).end_object();
  }
  out.end_array();
  return {};
}

void write_thinking(JsonWriter& out, const ChatThinking& thinking) {
  out.begin_object().key("type");
  if (thinking.redacted.empty()) {
    out.string("thinking").key("thinking").string(thinking.text);
    out.key("signature").string(thinking.signature);
  } else {
    out.string("redacted_thinking").key("data").string(thinking.redacted);
  }
  out.end_object();
}

Result<void> write_blocks(JsonWriter& out, const ChatMessage& message) {
  if (message.role == ChatMessage::Role::kTool) {
    out.begin_object().key("type").string("tool_result");
    out.key("tool_use_id").string(message.tool_call_id).key("content").begin_array();
    for (const ChatPart& part : message.parts) TRY(write_part(out, part));
    out.end_array().end_object();
    return {};
  }
  for (const ChatThinking& thinking : message.thinking) write_thinking(out, thinking);
  for (const ChatPart& part : message.parts) {
    // Anthropic refuses an empty text block; there is nothing in it to lose.
    if (part.kind == ChatPart::Kind::kText && part.text.empty()) continue;
    TRY(write_part(out, part));
  }
  for (const ChatToolCall& call : message.tool_calls) {
    out.begin_object().key("type").string("tool_use").key("id").string(call.id);
    out.key("name").string(call.name).key("input").raw(call.arguments).end_object();
  }
  return {};
}

// Results of tools are the user's here, and those of one turn belong into one message.
Result<void> write_messages(JsonWriter& out, const ChatRequest& chat) {
  out.key("messages").begin_array();
  const auto is_assistant = [](const ChatMessage& message) {
    return message.role == ChatMessage::Role::kAssistant;
  };
  for (auto at = chat.messages.begin(); at != chat.messages.end();) {
    const bool assistant = is_assistant(*at);
    out.begin_object().key("role").string(assistant ? "assistant" : "user");
    out.key("content").begin_array();
    while (at != chat.messages.end() && is_assistant(*at) == assistant) {
      TRY(write_blocks(out, *at++));
    }
    out.end_array().end_object();
  }
  out.end_array();
  return {};
}

void write_tools(JsonWriter& out, const ChatRequest& chat) {
  if (!chat.tools.empty()) {
    out.key("tools").begin_array();
    for (const ChatTool& tool : chat.tools) {
      out.begin_object().key("name").string(tool.name);
      if (!tool.description.empty()) out.key("description").string(tool.description);
      out.key("input_schema");
      out.raw(tool.parameters.empty() ? R"({"type":"object","properties":{}})" : tool.parameters);
      if (tool.strict) out.key("strict").boolean(true);
      out.end_object();
    }
    out.end_array();
  }
  if (!chat.tool_choice && (chat.parallel_tools || chat.tools.empty())) return;
  static constexpr std::array<std::string_view, 4> kWords = {"auto", "none", "any", "tool"};
  const ChatToolChoice choice = chat.tool_choice.value_or(ChatToolChoice::kAuto);
  out.key("tool_choice").begin_object().key("type");
  out.string(kWords.at(static_cast<std::size_t>(choice)));
  if (choice == ChatToolChoice::kNamed) out.key("name").string(chat.named_tool);
  if (!chat.parallel_tools && choice != ChatToolChoice::kNone) {
    out.key("disable_parallel_tool_use").boolean(true);
  }
  out.end_object();
}

bool is_zero(std::string_view number) {
  double value = 1;
  std::from_chars(number.data(), number.data() + number.size(), value);
  return value == 0;
}

Result<void> write_sampling(JsonWriter& out, const ChatRequest& chat) {
  if (!chat.temperature.empty()) {
    double value = 0;
    std::from_chars(chat.temperature.data(), chat.temperature.data() + chat.temperature.size(),
                    value);
    if (value > 1) return not_carried("a temperature above 1", kName);
    out.key("temperature").raw(chat.temperature);
  }
  if (!chat.top_p.empty()) out.key("top_p").raw(chat.top_p);
  if (!chat.seed.empty()) return not_carried("seed", kName);
  for (const std::string_view penalty : {chat.frequency_penalty, chat.presence_penalty}) {
    if (!penalty.empty() && !is_zero(penalty)) {
      return not_carried("frequency_penalty or presence_penalty", kName);
    }
  }
  if (!chat.stop.empty()) {
    out.key("stop_sequences").begin_array();
    for (const std::string& stop : chat.stop) out.string(stop);
    out.end_array();
  }
  if (!chat.user.empty()) {
    out.key("metadata").begin_object().key("user_id").string(chat.user).end_object();
  }
  return {};
}

Result<void> write_output(JsonWriter& out, const ChatRequest& chat) {
  if (chat.wants_json) return not_carried("response_format 'json_object'", kName);
  std::string_view effort = chat.reasoning_effort;
  const bool thinks = !effort.empty() && effort != "none";
  if (effort == "none") {
    out.key("thinking").begin_object().key("type").string("disabled").end_object();
    effort = "";
  }
  if (thinks) {
    out.key("thinking").begin_object().key("type").string("adaptive");
    out.key("display").string("summarized").end_object();
    if (effort == "minimal") effort = "low";
    if (effort != "low" && effort != "medium" && effort != "high" && effort != "xhigh") {
      return not_carried("reasoning_effort '" + chat.reasoning_effort + "'", kName);
    }
  }
  if (effort.empty() && chat.response_schema.empty()) return {};
  out.key("output_config").begin_object();
  if (!effort.empty()) out.key("effort").string(effort);
  if (!chat.response_schema.empty()) {
    out.key("format").begin_object().key("type").string("json_schema");
    out.key("schema").raw(chat.response_schema).end_object();
  }
  out.end_object();
  return {};
}

Failure no_words_for(std::string_view what) {
  return failure(Error::kUpstream, "the answer has " + std::string(what)
                                       + ", which a chat completion has no words for");
}

}  // namespace

Result<TranslatedRequest> anthropic_from_chat(const ChatRequest& chat, std::string_view model,
                                              std::int64_t max_tokens) {
  JsonWriter out;
  out.begin_object().key("model").string(model);
  out.key("max_tokens").integer(chat.max_tokens > 0 ? chat.max_tokens : max_tokens);
  TRY(write_system(out, chat));
  TRY(write_messages(out, chat));
  write_tools(out, chat);
  TRY(write_sampling(out, chat));
  TRY(write_output(out, chat));
  if (chat.stream) out.key("stream").boolean(true);
  out.end_object();
  return TranslatedRequest{"/v1/messages", std::move(out).text(), chat.stream, chat.wants_usage};
}

Result<void> AnthropicToChat::begin_block(const JsonObject& block, ChatSink& into) {
  const std::string type = text_or(block, "type");
  if (type == "text") {
    if (!TRY(elements(block, "citations")).empty()) return no_words_for("citations");
    block_ = Block::kText;
    if (const std::string text = text_or(block, "text"); !text.empty()) into.text(text);
    return {};
  }
  if (type == "thinking" || type == "redacted_thinking") {
    block_ = Block::kThinking;
    thinking_ = {text_or(block, "thinking"), text_or(block, "signature"), text_or(block, "data")};
    if (!thinking_.text.empty()) into.reasoning(thinking_.text);
    return {};
  }
  if (type != "tool_use") return no_words_for("a block of type '" + type + "'");
  block_ = Block::kTool;
  has_arguments_ = false;
  into.begin_tool(text_or(block, "id"), text_or(block, "name"), "");
  const JsonValue* const input = present(block, "input");
  if (input != nullptr && input->raw != "{}") {
    into.tool_arguments(input->raw);
    has_arguments_ = true;
  }
  return {};
}

Result<void> AnthropicToChat::delta(const JsonObject& delta, ChatSink& into) {
  const std::string type = text_or(delta, "type");
  if (type == "text_delta" && block_ == Block::kText) {
    into.text(text_or(delta, "text"));
  } else if (type == "thinking_delta" && block_ == Block::kThinking) {
    const std::string text = text_or(delta, "thinking");
    thinking_.text += text;
    into.reasoning(text);
  } else if (type == "signature_delta" && block_ == Block::kThinking) {
    thinking_.signature += text_or(delta, "signature");
  } else if (type == "input_json_delta" && block_ == Block::kTool) {
    const std::string part = text_or(delta, "partial_json");
    if (!part.empty()) into.tool_arguments(part);
    has_arguments_ = has_arguments_ || !part.empty();
  } else {
    return no_words_for("a delta of type '" + type + "'");
  }
  return {};
}

Result<void> AnthropicToChat::end_block(ChatSink& into) {
  if (block_ == Block::kThinking) into.thinking(thinking_);
  // A chat's arguments are a JSON text, never nothing.
  if (block_ == Block::kTool && !has_arguments_) into.tool_arguments("{}");
  block_ = Block::kNone;
  return {};
}

namespace {

Result<void> finish(std::string_view reason, ChatSink& into) {
  if (reason == "end_turn" || reason == "stop_sequence") {
    into.finished("stop");
  } else if (reason == "max_tokens" || reason == "model_context_window_exceeded") {
    into.finished("length");
  } else if (reason == "tool_use") {
    into.finished("tool_calls");
  } else if (reason == "refusal") {
    into.finished("content_filter");
  } else {
    return no_words_for("the stop reason '" + std::string(reason) + "'");
  }
  return {};
}

}  // namespace

Result<void> AnthropicToChat::whole(std::string_view body, ChatSink& into) {
  const JsonObject message = TRY(scan_object(body));
  if (text_or(message, "type") != "message") {
    return failure(Error::kUpstream, "the answer is no message of Anthropic's");
  }
  for (const JsonValue& element : TRY(elements(message, "content"))) {
    TRY(begin_block(TRY(scan_object(element.raw)), into));
    TRY(end_block(into));
  }
  has_ended_ = true;
  return finish(text_or(message, "stop_reason"), into);
}

Result<void> AnthropicToChat::event(std::string_view data, ChatSink& into) {
  const JsonObject event = TRY(scan_object(data));
  const std::string type = text_or(event, "type");
  if (type == "content_block_start") {
    return begin_block(TRY(inner(event, "content_block")), into);
  }
  if (type == "content_block_delta") return delta(TRY(inner(event, "delta")), into);
  if (type == "content_block_stop") return end_block(into);
  if (type == "message_delta") {
    const auto reason = TRY(inner(event, "delta")).string("stop_reason");
    return reason ? finish(*reason, into) : Result<void>();
  }
  if (type == "error") {
    const std::string message = text_or(TRY(inner(event, "error")), "message");
    return failure(Error::kUpstream, "the provider broke off: " + message);
  }
  // message_start and ping say nothing that a chunk does; new kinds are to be passed over.
  has_ended_ = has_ended_ || type == "message_stop";
  return {};
}

}  // namespace gatehouse::wire
