// SPDX-License-Identifier: Apache-2.0
// OpenAI's chat completions. (https://platform.openai.com/docs/api-reference/chat/create)
#include "wire/translation_chat.h"

#include <algorithm>
#include <array>
#include <map>
#include <span>

#include "base/encoding.h"

namespace gatehouse::wire {
namespace {

constexpr std::string_view kAnother = "another provider's dialect";
constexpr std::size_t kMaxMessages = 65'536;

// Members that change nothing in the answer's content, or are read elsewhere.
constexpr std::array<std::string_view, 24> kRead = {"model",
                                                    "messages",
                                                    "stream",
                                                    "stream_options",
                                                    "max_tokens",
                                                    "max_completion_tokens",
                                                    "temperature",
                                                    "top_p",
                                                    "stop",
                                                    "n",
                                                    "tools",
                                                    "tool_choice",
                                                    "parallel_tool_calls",
                                                    "response_format",
                                                    "seed",
                                                    "frequency_penalty",
                                                    "presence_penalty",
                                                    "user",
                                                    "reasoning_effort",
                                                    "logprobs",
                                                    "store",
                                                    "service_tier",
                                                    "modalities",
                                                    "logit_bias"};

bool is_in(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// Errors: kUnsupported for a member that is neither null nor one of `known`.
Result<void> only(const JsonObject& object, std::span<const std::string_view> known,
                  std::string_view of) {
  for (const JsonMember& member : object.members) {
    if (member.value.is(JsonType::kNull) || is_in(known, member.key)) continue;
    return not_carried(std::string(of) + member.key, kAnother);
  }
  return {};
}

template <std::size_t n>
using Names = std::array<std::string_view, n>;

Result<std::string> text_member(const JsonObject& object, std::string_view key) {
  if (auto text = object.string(key)) return *std::move(text);
  return wrong_type(key, "a string");
}

Result<std::string_view> number(const JsonObject& body, std::string_view key) {
  const JsonValue* const value = present(body, key);
  if (value == nullptr) return std::string_view();
  if (!value->is(JsonType::kNumber)) return wrong_type(key, "a number");
  return value->raw;
}

// `data:image/png;base64,...` into a part. Errors: kInvalid for another form of it.
Result<ChatPart> data_url(std::string_view url, ChatPart::Kind kind, std::string_view what) {
  const std::size_t comma = url.find(',');
  const std::string_view head = url.substr(0, comma == std::string_view::npos ? 0 : comma);
  if (!head.starts_with("data:") || !head.ends_with(";base64")) {
    return failure(Error::kInvalid,
                   std::string(what) + " must be a data: URL in Base64 (data:TYPE;base64,...)");
  }
  ChatPart part{.kind = kind};
  part.media_type = head.substr(5, head.size() - 5 - std::string_view(";base64").size());
  part.data = url.substr(comma + 1);
  if (part.media_type.empty() || !from_base64(part.data)) {
    return failure(Error::kInvalid, std::string(what) + " is no Base64 of a named media type");
  }
  return part;
}

Result<ChatPart> image_part(const JsonObject& part) {
  const JsonObject image = TRY(inner(part, "image_url"));
  TRY(only(image, Names<2>{"url", "detail"}, "image_url."));
  if (const auto detail = image.string("detail"); detail && *detail != "auto") {
    return not_carried("image_url.detail '" + *detail + "'", kAnother);
  }
  const std::string url = TRY(text_member(image, "url"));
  if (url.starts_with("data:")) return data_url(url, ChatPart::Kind::kImage, "image_url.url");
  return ChatPart{.kind = ChatPart::Kind::kImageUrl, .text = url};
}

Result<ChatPart> audio_part(const JsonObject& part) {
  const JsonObject audio = TRY(inner(part, "input_audio"));
  TRY(only(audio, Names<2>{"data", "format"}, "input_audio."));
  ChatPart out{.kind = ChatPart::Kind::kAudio};
  out.media_type = "audio/" + TRY(text_member(audio, "format"));
  out.data = TRY(text_member(audio, "data"));
  if (!from_base64(out.data)) return wrong_type("input_audio.data", "Base64");
  return out;
}

Result<ChatPart> file_part(const JsonObject& part) {
  const JsonObject file = TRY(inner(part, "file"));
  TRY(only(file, Names<2>{"file_data", "filename"}, "file."));
  ChatPart out =
      TRY(data_url(TRY(text_member(file, "file_data")), ChatPart::Kind::kFile, "file.file_data"));
  out.name = text_or(file, "filename");
  return out;
}

Result<ChatPart> part_of(const JsonObject& part) {
  const std::string type = TRY(text_member(part, "type"));
  if (type == "text") {
    TRY(only(part, Names<2>{"type", "text"}, "content[]."));
    return ChatPart{.text = TRY(text_member(part, "text"))};
  }
  TRY(only(part, Names<4>{"type", "image_url", "input_audio", "file"}, "content[]."));
  if (type == "image_url") return image_part(part);
  if (type == "input_audio") return audio_part(part);
  if (type == "file") return file_part(part);
  return not_carried("a content part of type '" + type + "'", kAnother);
}

Result<std::vector<ChatPart>> parts_of(const JsonObject& message) {
  std::vector<ChatPart> parts;
  const JsonValue* const content = present(message, "content");
  if (content == nullptr) return parts;
  if (auto text = content->string()) {
    parts.push_back({.text = *std::move(text)});
    return parts;
  }
  if (!content->is(JsonType::kArray)) return wrong_type("content", "a string or an array");
  for (const JsonValue& element : TRY(scan_array(content->raw))) {
    parts.push_back(TRY(part_of(TRY(scan_object(element.raw)))));
  }
  return parts;
}

Result<ChatToolCall> tool_call_of(const JsonObject& call) {
  TRY(only(call, Names<5>{"id", "type", "function", "index", "extra_content"}, "tool_calls[]."));
  if (text_or(call, "type") != "function") {
    return not_carried("a tool call of type '" + text_or(call, "type") + "'", kAnother);
  }
  const JsonObject function = TRY(inner(call, "function"));
  TRY(only(function, Names<2>{"name", "arguments"}, "tool_calls[].function."));
  ChatToolCall out{TRY(text_member(call, "id")), TRY(text_member(function, "name")), "", ""};
  out.arguments = TRY(text_member(function, "arguments"));
  if (out.arguments.empty()) out.arguments = "{}";
  if (!scan_object(out.arguments)) {
    return failure(Error::kInvalid,
                   "the arguments of tool call '" + out.id + "' are no JSON object");
  }
  const JsonObject google = TRY(inner(TRY(inner(call, "extra_content")), "google"));
  out.signature = text_or(google, "thought_signature");
  return out;
}

Result<std::vector<ChatThinking>> thinking_of(const JsonObject& message) {
  std::vector<ChatThinking> out;
  for (const JsonValue& element : TRY(elements(message, "thinking_blocks"))) {
    const JsonObject block = TRY(scan_object(element.raw));
    TRY(only(block, Names<4>{"type", "thinking", "signature", "data"}, "thinking_blocks[]."));
    ChatThinking thinking;
    if (text_or(block, "type") == "redacted_thinking") {
      thinking.redacted = TRY(text_member(block, "data"));
    } else {
      thinking.text = TRY(text_member(block, "thinking"));
      thinking.signature = TRY(text_member(block, "signature"));
    }
    out.push_back(std::move(thinking));
  }
  return out;
}

Result<ChatMessage::Role> role_of(const JsonObject& message) {
  const std::string role = TRY(text_member(message, "role"));
  if (role == "system" || role == "developer") return ChatMessage::Role::kSystem;
  if (role == "user") return ChatMessage::Role::kUser;
  if (role == "assistant") return ChatMessage::Role::kAssistant;
  if (role == "tool") return ChatMessage::Role::kTool;
  return not_carried("a message of role '" + role + "'", kAnother);
}

Result<ChatMessage> message_of(const JsonObject& message) {
  ChatMessage out;
  out.role = TRY(role_of(message));
  if (out.role == ChatMessage::Role::kAssistant) {
    // The reasoning's text alone, which nobody signed, is what clients keep to show it.
    TRY(only(message,
             Names<7>{"role", "content", "tool_calls", "thinking_blocks", "reasoning_content",
                      "annotations", "refusal"},
             "messages[]."));
    if (present(message, "refusal") != nullptr) {
      return not_carried("messages[].refusal", kAnother);
    }
    if (!TRY(elements(message, "annotations")).empty()) {
      return not_carried("messages[].annotations", kAnother);
    }
    for (const JsonValue& element : TRY(elements(message, "tool_calls"))) {
      out.tool_calls.push_back(TRY(tool_call_of(TRY(scan_object(element.raw)))));
    }
    out.thinking = TRY(thinking_of(message));
  } else {
    TRY(only(message, Names<3>{"role", "content", "tool_call_id"}, "messages[]."));
    if (present(message, "content") == nullptr) return wrong_type("content", "there");
  }
  out.parts = TRY(parts_of(message));
  if (out.role == ChatMessage::Role::kTool) {
    out.tool_call_id = TRY(text_member(message, "tool_call_id"));
  }
  return out;
}

Result<void> read_messages(const JsonObject& body, ChatRequest& chat) {
  const JsonValue* const messages = present(body, "messages");
  if (messages == nullptr || !messages->is(JsonType::kArray)) {
    return wrong_type("messages", "an array");
  }
  const auto all = TRY(scan_array(messages->raw));
  if (all.size() > kMaxMessages) return failure(Error::kTooMany, "more than 65536 messages");
  std::map<std::string, std::string, std::less<>> names;  // of tools, by the call's id
  for (const JsonValue& element : all) {
    ChatMessage message = TRY(message_of(TRY(scan_object(element.raw))));
    if (message.role == ChatMessage::Role::kSystem) {
      if (!chat.messages.empty()) {
        return not_carried("a system message after the first of another role", kAnother);
      }
      chat.system.push_back(std::move(message));
      continue;
    }
    for (const ChatToolCall& call : message.tool_calls) names[call.id] = call.name;
    if (message.role == ChatMessage::Role::kTool) {
      const auto name = names.find(message.tool_call_id);
      if (name == names.end()) {
        return failure(Error::kInvalid, "a tool's message answers '" + message.tool_call_id
                                            + "', which no message before it calls");
      }
      message.tool_name = name->second;
    }
    chat.messages.push_back(std::move(message));
  }
  if (chat.messages.empty()) return failure(Error::kInvalid, "there is no message to answer");
  return {};
}

Result<void> read_tools(const JsonObject& body, ChatRequest& chat) {
  for (const JsonValue& element : TRY(elements(body, "tools"))) {
    const JsonObject tool = TRY(scan_object(element.raw));
    if (text_or(tool, "type") != "function") {
      return not_carried("a tool of type '" + text_or(tool, "type") + "'", kAnother);
    }
    TRY(only(tool, Names<2>{"type", "function"}, "tools[]."));
    const JsonObject function = TRY(inner(tool, "function"));
    TRY(only(function, Names<4>{"name", "description", "parameters", "strict"},
             "tools[].function."));
    ChatTool out{TRY(text_member(function, "name")), text_or(function, "description"), "", false};
    out.strict = TRY(flag(function, "strict"));
    if (const JsonValue* const parameters = present(function, "parameters")) {
      if (!parameters->is(JsonType::kObject)) return wrong_type("parameters", "an object");
      out.parameters = parameters->raw;
    }
    chat.tools.push_back(std::move(out));
  }
  return {};
}

Result<void> read_tool_choice(const JsonObject& body, ChatRequest& chat) {
  if (const JsonValue* const parallel = present(body, "parallel_tool_calls")) {
    if (!parallel->is(JsonType::kBoolean)) return wrong_type("parallel_tool_calls", "a boolean");
    chat.parallel_tools = *parallel->boolean();
  }
  const JsonValue* const choice = present(body, "tool_choice");
  if (choice == nullptr) return {};
  if (const auto word = choice->string()) {
    if (*word == "auto") chat.tool_choice = ChatToolChoice::kAuto;
    if (*word == "none") chat.tool_choice = ChatToolChoice::kNone;
    if (*word == "required") chat.tool_choice = ChatToolChoice::kRequired;
    if (!chat.tool_choice) return wrong_type("tool_choice", "auto, none, required or a function");
    return {};
  }
  const JsonObject named = TRY(scan_object(choice->raw));
  if (text_or(named, "type") != "function") {
    return not_carried("tool_choice of type '" + text_or(named, "type") + "'", kAnother);
  }
  chat.tool_choice = ChatToolChoice::kNamed;
  chat.named_tool = TRY(text_member(TRY(inner(named, "function")), "name"));
  return {};
}

Result<void> read_response_format(const JsonObject& body, ChatRequest& chat) {
  const JsonObject format = TRY(inner(body, "response_format"));
  if (format.members.empty()) return {};
  const std::string type = TRY(text_member(format, "type"));
  if (type == "text") return {};
  if (type == "json_object") {
    chat.wants_json = true;
    return {};
  }
  if (type != "json_schema") return not_carried("response_format '" + type + "'", kAnother);
  // A name and a description of the schema are for people; `strict` is how both providers read it.
  const JsonObject named = TRY(inner(format, "json_schema"));
  TRY(only(named, Names<4>{"name", "description", "schema", "strict"}, "json_schema."));
  const JsonValue* const schema = present(named, "schema");
  if (schema == nullptr || !schema->is(JsonType::kObject)) {
    return wrong_type("response_format.json_schema.schema", "an object");
  }
  chat.response_schema = schema->raw;
  return {};
}

Result<void> read_stop(const JsonObject& body, ChatRequest& chat) {
  const JsonValue* const stop = present(body, "stop");
  if (stop == nullptr) return {};
  if (auto one = stop->string()) {
    chat.stop.push_back(*std::move(one));
    return {};
  }
  if (!stop->is(JsonType::kArray)) return wrong_type("stop", "a string or an array");
  for (const JsonValue& element : TRY(scan_array(stop->raw))) {
    auto text = element.string();
    if (!text) return wrong_type("stop[]", "a string");
    chat.stop.push_back(*std::move(text));
  }
  return {};
}

// What has a meaning only in one of its values.
Result<void> read_fixed(const JsonObject& body) {
  if (present(body, "n") != nullptr && integer(body, "n") != 1) {
    return not_carried("n other than 1", kAnother);
  }
  for (const std::string_view key : {"logprobs", "store"}) {
    if (TRY(flag(body, key))) return not_carried(key, kAnother);
  }
  if (const auto tier = body.string("service_tier"); tier && *tier != "auto") {
    return not_carried("service_tier '" + *tier + "'", kAnother);
  }
  if (!TRY(inner(body, "logit_bias")).members.empty()) return not_carried("logit_bias", kAnother);
  for (const JsonValue& element : TRY(elements(body, "modalities"))) {
    if (element.string() != "text") return not_carried("modalities other than text", kAnother);
  }
  return {};
}

Result<void> read_stream(const JsonObject& body, ChatRequest& chat) {
  chat.stream = TRY(flag(body, "stream"));
  const JsonObject options = TRY(inner(body, "stream_options"));
  // Obfuscation is padding against who watches the connection: nothing of an answer's content.
  TRY(only(options, Names<2>{"include_usage", "include_obfuscation"}, "stream_options."));
  chat.wants_usage = TRY(flag(options, "include_usage"));
  return {};
}

Result<void> read_numbers(const JsonObject& body, ChatRequest& chat) {
  chat.temperature = TRY(number(body, "temperature"));
  chat.top_p = TRY(number(body, "top_p"));
  chat.seed = TRY(number(body, "seed"));
  chat.frequency_penalty = TRY(number(body, "frequency_penalty"));
  chat.presence_penalty = TRY(number(body, "presence_penalty"));
  for (const std::string_view key : {"max_tokens", "max_completion_tokens"}) {
    if (present(body, key) == nullptr) continue;
    chat.max_tokens = integer(body, key);
    if (chat.max_tokens <= 0) return wrong_type(key, "a positive integer");
  }
  return {};
}

}  // namespace

Failure not_carried(std::string_view what, std::string_view provider) {
  return failure(Error::kUnsupported, std::string(what) + " cannot be carried over to "
                                          + std::string(provider)
                                          + "; leave it out, or use a model of this dialect");
}

Result<std::string> only_text(const ChatMessage& message, std::string_view provider) {
  std::string out;
  for (const ChatPart& part : message.parts) {
    if (part.kind != ChatPart::Kind::kText) {
      return not_carried("an image, audio or file in a system or tool message", provider);
    }
    add_line(out, part.text);
  }
  return out;
}

Result<ChatRequest> ChatRequest::parse(std::string_view text) {
  const JsonObject body = TRY(scan_object(text));
  TRY(only(body, kRead, ""));
  ChatRequest chat;
  TRY(read_messages(body, chat));
  TRY(read_tools(body, chat));
  TRY(read_tool_choice(body, chat));
  TRY(read_response_format(body, chat));
  TRY(read_stop(body, chat));
  TRY(read_fixed(body));
  TRY(read_stream(body, chat));
  TRY(read_numbers(body, chat));
  if (present(body, "user") != nullptr) chat.user = TRY(text_member(body, "user"));
  if (present(body, "reasoning_effort") != nullptr) {
    chat.reasoning_effort = TRY(text_member(body, "reasoning_effort"));
  }
  return chat;
}

}  // namespace gatehouse::wire
