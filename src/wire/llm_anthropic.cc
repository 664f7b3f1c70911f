// SPDX-License-Identifier: Apache-2.0
// Anthropic's Messages and token counting. (https://docs.anthropic.com/en/api/messages)
#include <algorithm>
#include <array>

#include "wire/llm_parts.h"

namespace gatehouse::wire {
namespace {

// Tools whose schema is Anthropic's and which the caller runs.
constexpr std::array<std::string_view, 4> kCallersTools = {"custom", "bash", "text_editor",
                                                           "memory"};
constexpr std::string_view kAddition = "tool_addition";  // of a block that brings tools

Result<void> read_tool(const JsonObject& tool, LlmRequest& request) {
  const std::string type = tool.string("type").value_or("custom");
  const std::string plain = without_version(type);
  if (std::ranges::find(kCallersTools, plain) != kCallersTools.end()) {
    auto name = tool.string("name");
    if (!name) return wrong_type("tools[].name", "a string");
    return add_tool(request, *std::move(name));
  }
  if (plain == "mcp_toolset") {  // of a server that mcp_servers names
    return request.provider_tools.empty() ? add_provider_tool(request, "mcp") : Result<void>();
  }
  return add_provider_tool(request, plain);
}

Result<void> read_tools(const JsonObject& body, LlmRequest& request) {
  for (const JsonValue& element : TRY(elements(body, "mcp_servers"))) {
    const JsonObject server = TRY(scan_object(element.raw));
    TRY(add_provider_tool(request, mcp_tool(text_or(server, "url"))));
  }
  for (const JsonValue& element : TRY(elements(body, "tools"))) {
    TRY(read_tool(TRY(scan_object(element.raw)), request));
  }
  return {};
}

// Blocks of the conversation can add tools in mid-way.
Result<void> read_added_tools(const JsonValue& message, LlmRequest& request) {
  const JsonObject object = TRY(scan_object(message.raw));
  const JsonValue* const content = present(object, "content");
  if (content == nullptr || !content->is(JsonType::kArray)) return {};
  for (const JsonValue& element : TRY(scan_array(content->raw))) {
    const JsonObject block = TRY(scan_object(element.raw));
    if (block.string("type") != "tool_addition") continue;
    const JsonObject tool = TRY(inner(block, "tool"));
    const std::string kind = text_or(tool, "type");
    if (kind == "tool_reference") continue;  // to one of `tools`
    if (kind.starts_with("mcp")) {
      TRY(add_provider_tool(request, "mcp"));
      continue;
    }
    const JsonObject definition = TRY(inner(tool, "definition"));
    TRY(read_tool(definition.members.empty() ? tool : definition, request));
  }
  return {};
}

// The text of a message: its text blocks, and what tools gave.
Result<LlmMessage> message_of(const JsonObject& message) {
  LlmMessage out{text_or(message, "role"), ""};
  const JsonValue* const content = present(message, "content");
  if (content == nullptr || !content->is(JsonType::kArray)) {
    out.text = TRY(text_of_content(content));
    return out;
  }
  bool only_results = true;
  for (const JsonValue& element : TRY(scan_array(content->raw))) {
    const JsonObject block = TRY(scan_object(element.raw));
    const bool is_result = text_or(block, "type").ends_with("tool_result");
    only_results = only_results && is_result;
    const JsonValue* const inside = present(block, "content");
    const bool is_text =
        inside != nullptr && (inside->is(JsonType::kString) || inside->is(JsonType::kArray));
    const std::string part =
        is_result && is_text ? TRY(text_of_content(inside)) : text_or(block, "text");
    add_line(out.text, part);
  }
  if (only_results && !out.text.empty()) out.role = "tool";
  return out;
}

Result<void> read_messages(const RequestText& text, const JsonObject& body, LlmRequest& request) {
  const JsonValue* const messages = present(body, "messages");
  if (messages == nullptr || !messages->is(JsonType::kArray)) {
    return wrong_type("messages", "an array");
  }
  const auto all = TRY(scan_array(messages->raw, text.known));
  for (const JsonValue& message : all) {
    if (text.known.holds(message) || !may_say(message.raw, kAddition)) continue;
    TRY(read_added_tools(message, request));
  }
  note_parts(text, body, {"messages", all, kAddition}, request);
  const auto fresh = TRY(since_role(all, text.known, request, "assistant"));
  if (const JsonValue* const system = present(body, "system");
      system != nullptr && fresh.size() == all.size()) {
    request.new_messages.push_back({"system", TRY(text_of_content(system))});
  }
  for (const JsonValue& message : fresh) {
    request.new_messages.push_back(TRY(message_of(TRY(scan_object(message.raw)))));
  }
  return {};
}

// Events restate what they know; what one does not say stays.
Result<void> read_usage(const JsonObject& usage, LlmAnswer& answer) {
  if (usage.members.empty()) return {};
  if (!answer.usage) answer.usage.emplace();
  Usage& known = *answer.usage;
  std::int64_t fresh = known.input - known.cache_read - known.cache_write_5m - known.cache_write_1h;
  if (has_integer(usage, "input_tokens")) fresh = integer(usage, "input_tokens");
  if (has_integer(usage, "cache_read_input_tokens")) {
    known.cache_read = integer(usage, "cache_read_input_tokens");
  }
  const JsonObject written = TRY(inner(usage, "cache_creation"));
  if (!written.members.empty()) {
    known.cache_write_5m = integer(written, "ephemeral_5m_input_tokens");
    known.cache_write_1h = integer(written, "ephemeral_1h_input_tokens");
  } else if (has_integer(usage, "cache_creation_input_tokens")) {
    // Without lifetimes: of what is new, nobody says which.
    const std::int64_t all = integer(usage, "cache_creation_input_tokens");
    if (all < known.cache_write_1h) known.cache_write_1h = 0;
    known.cache_write_5m = all - known.cache_write_1h;
  }
  known.input = saturated_sum(saturated_sum(fresh, known.cache_read),
                              saturated_sum(known.cache_write_5m, known.cache_write_1h));
  if (has_integer(usage, "output_tokens")) known.output = integer(usage, "output_tokens");
  const JsonObject details = TRY(inner(usage, "output_tokens_details"));
  if (has_integer(details, "thinking_tokens")) {
    known.reasoning = integer(details, "thinking_tokens");
  }
  return {};
}

Result<void> read_block(const JsonObject& block, std::int64_t key, AnswerBuilder& into) {
  const std::string type = text_or(block, "type");
  if (type == "text") into.add_text(text_or(block, "text"));
  if (type == "thinking") into.add_reasoning(text_or(block, "thinking"));
  if (!type.ends_with("tool_use")) return {};
  LlmToolCall& call = *TRY(into.tool_call(key));
  into.append(call.id, text_or(block, "id"));
  into.append(call.name, text_or(block, "name"));
  call.at_provider = type != "tool_use";
  // In a stream the input comes in deltas, and here stands an empty object.
  if (const JsonValue* const input = present(block, "input"); input != nullptr) {
    if (input->raw != "{}") into.append(call.arguments, input->raw);
  }
  return {};
}

Result<void> read_message(const JsonObject& message, AnswerBuilder& into) {
  LlmAnswer& answer = into.answer;
  answer.id = text_or(message, "id");
  answer.model = text_or(message, "model");
  answer.choices = 1;
  if (auto reason = message.string("stop_reason")) answer.finish_reason = *std::move(reason);
  TRY(read_usage(TRY(inner(message, "usage")), answer));
  std::int64_t key = 0;
  for (const JsonValue& element : TRY(elements(message, "content"))) {
    TRY(read_block(TRY(scan_object(element.raw)), key++, into));
  }
  return into.fits();
}

Result<void> read_delta(const JsonObject& event, AnswerBuilder& into) {
  const JsonObject delta = TRY(inner(event, "delta"));
  const std::string type = text_or(delta, "type");
  if (type == "text_delta") into.add_text(text_or(delta, "text"));
  if (type == "thinking_delta") into.add_reasoning(text_or(delta, "thinking"));
  if (type == "input_json_delta") {
    if (LlmToolCall* const call = into.known_tool_call(integer(event, "index"))) {
      into.append(call->arguments, text_or(delta, "partial_json"));
    }
  }
  return into.fits();
}

}  // namespace

Result<LlmRequest> anthropic_request(const RequestText& text) {
  const JsonObject body = TRY(scan_object(text.json, text.known));
  LlmRequest request;
  request.model = TRY(model_of(body));
  request.other_models = TRY(other_models_of(body));
  request.stream = TRY(flag(body, "stream"));
  request.max_tokens = integer(body, "max_tokens");
  TRY(read_messages(text, body, request));
  TRY(read_tools(body, request));
  return request;
}

Result<void> read_anthropic(std::string_view text, AnswerBuilder& into) {
  const JsonObject body = TRY(scan_object(text));
  if (has_integer(body, "input_tokens") && present(body, "content") == nullptr) {
    into.answer.is_complete = true;  // a count, which costs nothing
    return {};
  }
  if (body.string("type") != "message") {
    return failure(Error::kUpstream, "the answer is no message");
  }
  TRY(read_message(body, into));
  into.answer.is_complete = true;
  return {};
}

Result<void> read_anthropic_event(std::string_view data, AnswerBuilder& into) {
  const JsonObject event = TRY(scan_object(data));
  const std::string type = text_or(event, "type");
  if (type == "message_start") return read_message(TRY(inner(event, "message")), into);
  if (type == "content_block_start") {
    return read_block(TRY(inner(event, "content_block")), integer(event, "index"), into);
  }
  if (type == "content_block_delta") return read_delta(event, into);
  if (type == "message_delta") {
    const JsonObject delta = TRY(inner(event, "delta"));
    if (auto reason = delta.string("stop_reason")) {
      into.answer.finish_reason = *std::move(reason);
    }
    return read_usage(TRY(inner(event, "usage")), into.answer);
  }
  if (type == "message_stop") into.answer.is_complete = true;
  if (type == "error") into.answer.error = text_or(TRY(inner(event, "error")), "message");
  return {};
}

}  // namespace gatehouse::wire
