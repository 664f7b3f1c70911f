// SPDX-License-Identifier: Apache-2.0
// AWS Bedrock's Converse and ConverseStream.
// (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html)
#include <algorithm>

#include "wire/llm_parts.h"

namespace gatehouse::wire {
namespace {

Result<std::string> text_of_result(const JsonObject& result) {
  std::string text;
  for (const JsonValue& element : TRY(elements(result, "content"))) {
    const JsonObject block = TRY(scan_object(element.raw));
    add_line(text, text_or(block, "text"));
    if (const JsonValue* const json = present(block, "json")) add_line(text, json->raw);
  }
  return text;
}

Result<LlmMessage> message_of(const JsonObject& from) {
  LlmMessage message{text_or(from, "role"), ""};
  bool only_results = true;
  for (const JsonValue& element : TRY(elements(from, "content"))) {
    const JsonObject block = TRY(scan_object(element.raw));
    const JsonObject result = TRY(inner(block, "toolResult"));
    only_results = only_results && !result.members.empty();
    add_line(message.text, TRY(text_of_result(result)));
    add_line(message.text, text_or(block, "text"));
  }
  if (only_results && !message.text.empty()) message.role = "tool";
  return message;
}

Result<void> read_messages(const RequestText& text, const JsonObject& body, LlmRequest& request) {
  const auto all = TRY(elements(body, "messages", text.known));
  note_parts(text, body, {"messages", all}, request);
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

Result<void> read_tools(const JsonObject& body, LlmRequest& request) {
  const JsonObject config = TRY(inner(body, "toolConfig"));
  for (const JsonValue& element : TRY(elements(config, "tools"))) {
    const JsonObject tool = TRY(scan_object(element.raw));
    for (const JsonMember& member : tool.members) {
      if (member.key == "cachePoint") continue;
      const std::string name = text_or(TRY(inner(tool, member.key)), "name");
      TRY(member.key == "toolSpec" ? add_tool(request, name)
                                   : add_provider_tool(request, name.empty() ? member.key : name));
    }
  }
  // What goes to the model past Converse's own words can bring its maker's tools.
  const JsonObject more = TRY(inner(body, "additionalModelRequestFields"));
  for (const JsonValue& element : TRY(elements(more, "tools"))) {
    const JsonObject tool = TRY(scan_object(element.raw));
    TRY(add_provider_tool(request, without_version(tool.string("type").value_or("unknown"))));
  }
  if (present(more, "mcp_servers") != nullptr) TRY(add_provider_tool(request, "mcp"));
  return {};
}

Result<void> read_usage(const JsonObject& body, LlmAnswer& answer) {
  const JsonObject usage = TRY(inner(body, "usage"));
  if (usage.members.empty()) return {};
  Usage read;
  read.cache_read = integer(usage, "cacheReadInputTokens");
  const std::int64_t written = integer(usage, "cacheWriteInputTokens");
  for (const JsonValue& element : TRY(elements(usage, "cacheDetails"))) {
    const JsonObject detail = TRY(scan_object(element.raw));
    if (detail.string("ttl") == "1h") {
      read.cache_write_1h = saturated_sum(read.cache_write_1h, integer(detail, "inputTokens"));
    }
  }
  read.cache_write_1h = std::min(read.cache_write_1h, written);
  read.cache_write_5m = written - read.cache_write_1h;
  read.input =
      saturated_sum(integer(usage, "inputTokens"), saturated_sum(read.cache_read, written));
  read.output = integer(usage, "outputTokens");
  answer.usage = read;
  return {};
}

Result<void> begin_call(const JsonObject& use, std::int64_t key, AnswerBuilder& into) {
  LlmToolCall& call = *TRY(into.tool_call(key));
  into.append(call.id, text_or(use, "toolUseId"));
  into.append(call.name, text_or(use, "name"));
  call.at_provider = use.string("type") == "server_tool_use";
  if (const JsonValue* const input = present(use, "input")) {
    into.append(call.arguments, input->string().value_or(std::string(input->raw)));
  }
  return {};
}

Result<void> read_block(const JsonObject& block, std::int64_t key, AnswerBuilder& into) {
  into.add_text(text_or(block, "text"));
  const JsonObject reasoning = TRY(inner(block, "reasoningContent"));
  into.add_reasoning(text_or(TRY(inner(reasoning, "reasoningText")), "text"));  // whole
  into.add_reasoning(text_or(reasoning, "text"));                               // of a stream
  const JsonObject use = TRY(inner(block, "toolUse"));
  if (use.members.empty()) return {};
  if (LlmToolCall* const call = into.known_tool_call(key)) {
    into.append(call->arguments, text_or(use, "input"));
    return {};
  }
  return begin_call(use, key, into);
}

}  // namespace

Result<LlmRequest> bedrock_request(const RequestText& text) {
  const JsonObject body = TRY(scan_object(text.json, text.known));
  LlmRequest request;
  request.max_tokens = integer(TRY(inner(body, "inferenceConfig")), "maxTokens");
  TRY(read_messages(text, body, request));
  TRY(read_tools(body, request));
  return request;
}

Result<void> read_bedrock(std::string_view text, AnswerBuilder& into) {
  const JsonObject body = TRY(scan_object(text));
  const JsonObject output = TRY(inner(body, "output"));
  if (output.members.empty()) return failure(Error::kUpstream, "the answer has no 'output'");
  TRY(read_usage(body, into.answer));
  into.answer.finish_reason = text_or(body, "stopReason");
  into.answer.choices = 1;
  std::int64_t key = 0;
  for (const JsonValue& element : TRY(elements(TRY(inner(output, "message")), "content"))) {
    TRY(read_block(TRY(scan_object(element.raw)), key++, into));
  }
  into.answer.is_complete = true;
  return into.fits();
}

Result<void> read_bedrock_event(std::string_view message_type, std::string_view type,
                                std::string_view data, AnswerBuilder& into) {
  const JsonObject event = TRY(scan_object(data));
  if (message_type == "exception" || message_type == "error") {
    const auto why = event.string("message");
    into.answer.error = why && !why->empty() ? *why : std::string(type);
    return {};
  }
  const std::int64_t key = integer(event, "contentBlockIndex");
  if (type == "contentBlockStart") {
    const JsonObject use = TRY(inner(TRY(inner(event, "start")), "toolUse"));
    return use.members.empty() ? Result<void>() : begin_call(use, key, into);
  }
  if (type == "contentBlockDelta") {
    TRY(read_block(TRY(inner(event, "delta")), key, into));
    return into.fits();
  }
  if (type == "messageStop") {
    into.answer.finish_reason = text_or(event, "stopReason");
    into.answer.is_complete = true;
    into.answer.choices = 1;
  }
  if (type == "metadata") return read_usage(event, into.answer);
  return {};
}

}  // namespace gatehouse::wire
