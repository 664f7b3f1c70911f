// SPDX-License-Identifier: Apache-2.0
// OpenAI's Responses. (https://platform.openai.com/docs/api-reference/responses)
#include <algorithm>

#include "wire/llm_parts.h"

namespace gatehouse::wire {
namespace {

Result<void> read_tools(const JsonObject& in, LlmRequest& request);

// Where a shell runs that the model asks for: with the caller, if it says so itself.
Result<bool> is_the_callers(const JsonObject& tool, std::string_view type) {
  if (type == "function" || type == "custom" || type == "local_shell" || type == "apply_patch") {
    return true;
  }
  if (type == "shell") return TRY(inner(tool, "environment")).string("type") == "local";
  if (type == "tool_search") return tool.string("execution") == "client";
  return false;
}

Result<void> read_tool(const JsonObject& tool, LlmRequest& request) {
  const auto type = tool.string("type");
  if (!type) return wrong_type("tools[].type", "a string");
  if (*type == "namespace") return read_tools(tool, request);
  if (TRY(is_the_callers(tool, *type))) {
    const auto name = tool.string("name");
    return add_tool(request, name ? *name : *type);
  }
  if (*type != "mcp") return add_provider_tool(request, without_version(*type));
  if (const auto connector = tool.string("connector_id")) {
    return add_provider_tool(request, "mcp:" + *connector);
  }
  return add_provider_tool(request, mcp_tool(text_or(tool, "server_url")));
}

Result<void> read_tools(const JsonObject& in, LlmRequest& request) {
  for (const JsonValue& element : TRY(elements(in, "tools"))) {
    const JsonObject tool = TRY(scan_object(element.raw));
    TRY(read_tool(tool, request));
  }
  return {};
}

// What the model itself said: its messages, its reasoning, its calls.
bool is_of_the_model(const JsonObject& item) {
  const std::string type = text_or(item, "type");
  return type == "reasoning" || type.ends_with("_call") || item.string("role") == "assistant";
}

Result<LlmMessage> message_of(const JsonObject& item) {
  const std::string type = text_or(item, "type");
  if (type.ends_with("_output")) {
    const JsonValue* const output = present(item, "output");
    const bool is_text =
        output != nullptr && (output->is(JsonType::kString) || output->is(JsonType::kArray));
    return LlmMessage{"tool", is_text ? TRY(text_of_content(output)) : ""};
  }
  const auto role = item.string("role");
  if (!role) return LlmMessage{type, ""};
  return LlmMessage{*role, TRY(text_of_content(present(item, "content")))};
}

// Items can bring tools of their own.
Result<void> read_brought_tools(const std::vector<JsonValue>& items, const KnownJson& known,
                                LlmRequest& request) {
  for (const JsonValue& element : items) {
    if (known.holds(element) || !may_say(element.raw, "tools")) continue;
    const JsonObject item = TRY(scan_object(element.raw));
    const JsonValue* const tools = present(item, "tools");
    if (tools == nullptr || !tools->is(JsonType::kArray)) continue;
    if (item.string("type") == "mcp_list_tools") continue;  // what a server once said it has
    TRY(read_tools(item, request));
  }
  return {};
}

Result<void> read_input(const RequestText& text, const JsonObject& body, LlmRequest& request) {
  const JsonValue* const input = present(body, "input");
  const auto instruct = [&] {
    if (auto instructions = body.string("instructions")) {
      request.new_messages.push_back({"system", *std::move(instructions)});
    }
  };
  if (input == nullptr || input->is(JsonType::kString)) {
    instruct();
    if (input != nullptr) request.new_messages.push_back({"user", *input->string()});
    return {};
  }
  if (!input->is(JsonType::kArray)) return wrong_type("input", "a string or an array");
  const auto items = TRY(scan_array(input->raw, text.known));
  TRY(read_brought_tools(items, text.known, request));
  note_parts(text, body, {"input", items, "tools"}, request);
  const auto fresh = TRY(since_last_answer(items, text.known, request, is_of_the_model));
  if (fresh.size() == items.size()) instruct();
  for (const JsonValue& item : fresh) {
    request.new_messages.push_back(TRY(message_of(TRY(scan_object(item.raw)))));
  }
  return {};
}

Result<void> read_usage(const JsonObject& response, LlmAnswer& answer) {
  const JsonObject usage = TRY(inner(response, "usage"));
  if (usage.members.empty()) return {};
  const JsonObject input = TRY(inner(usage, "input_tokens_details"));
  const JsonObject output = TRY(inner(usage, "output_tokens_details"));
  answer.usage = Usage{
      .input = integer(usage, "input_tokens"),
      .cache_read = integer(input, "cached_tokens"),
      .cache_write_5m = integer(input, "cache_write_tokens"),
      .input_audio = integer(input, "audio_tokens"),
      .output = integer(usage, "output_tokens"),
      .reasoning = integer(output, "reasoning_tokens"),
      .output_audio = integer(output, "audio_tokens"),
  };
  return {};
}

// A call in the output: of the caller's tool, or of one that ran at the provider.
Result<void> read_call(const JsonObject& item, std::string_view type, std::int64_t key,
                       AnswerBuilder& into) {
  LlmToolCall& call = *TRY(into.tool_call(key));
  const auto fill = [&](std::string& member, std::string_view from) {
    if (const auto text = item.string(from); text && member.empty()) into.append(member, *text);
  };
  fill(call.id, "call_id");
  fill(call.id, "id");
  fill(call.name, "name");
  fill(call.arguments, type == "custom_tool_call" ? "input" : "arguments");
  call.at_provider = type == "mcp_call" || type == "web_search_call" || type == "file_search_call"
                     || type == "code_interpreter_call" || type == "image_generation_call";
  if (call.name.empty()) into.append(call.name, type.substr(0, type.size() - 5));
  return {};
}

Result<void> add_parts(const JsonObject& item, std::string_view key, std::string& to,
                       AnswerBuilder& into) {
  for (const JsonValue& element : TRY(elements(item, key))) {
    if (!element.is(JsonType::kObject)) continue;
    const JsonObject part = TRY(scan_object(element.raw));
    into.append(to, text_or(part, "text"));
    into.append(to, text_or(part, "refusal"));
  }
  return {};
}

Result<void> read_item(const JsonObject& item, std::int64_t key, AnswerBuilder& into) {
  const std::string type = text_or(item, "type");
  if (type == "message") return add_parts(item, "content", into.answer.text, into);
  if (type == "reasoning") {
    TRY(add_parts(item, "summary", into.answer.reasoning, into));
    return add_parts(item, "content", into.answer.reasoning, into);
  }
  if (type.ends_with("_call")) return read_call(item, type, key, into);
  return {};
}

// What is said of a response as a whole.
Result<void> read_response(const JsonObject& response, AnswerBuilder& into) {
  LlmAnswer& answer = into.answer;
  if (answer.id.empty()) answer.id = text_or(response, "id");
  if (answer.model.empty()) answer.model = text_or(response, "model");
  TRY(read_usage(response, answer));
  const std::string status = text_or(response, "status");
  if (status == "in_progress" || status == "queued") return {};
  const std::string why = text_or(TRY(inner(response, "incomplete_details")), "reason");
  answer.finish_reason = why.empty() ? status : why;
  answer.error = text_or(TRY(inner(response, "error")), "message");
  answer.is_complete = true;
  answer.choices = 1;
  return {};
}

Result<void> read_output(const JsonObject& response, AnswerBuilder& into) {
  std::int64_t key = 0;
  for (const JsonValue& element : TRY(elements(response, "output"))) {
    TRY(read_item(TRY(scan_object(element.raw)), key++, into));
  }
  return into.fits();
}

bool ends(std::string_view type) {
  return type == "response.completed" || type == "response.incomplete" || type == "response.failed";
}

Result<void> read_last(const JsonObject& event, AnswerBuilder& into) {
  const JsonObject response = TRY(inner(event, "response"));
  TRY(read_response(response, into));
  const LlmAnswer& answer = into.answer;
  const bool was_told =
      !answer.text.empty() || !answer.reasoning.empty() || !answer.tool_calls.empty();
  if (was_told) return {};
  return read_output(response, into);  // some servers send no deltas
}

}  // namespace

Result<LlmRequest> openai_responses_request(const RequestText& text) {
  const JsonObject body = TRY(scan_object(text.json, text.known));
  LlmRequest request;
  request.model = TRY(model_of(body));
  request.other_models = TRY(other_models_of(body));
  request.stream = TRY(flag(body, "stream"));
  request.max_tokens = integer(body, "max_output_tokens");
  TRY(read_input(text, body, request));
  TRY(read_tools(body, request));
  // A stored prompt can have a model and tools that nobody sees here; what runs in the background
  // goes on at the provider when this exchange has ended.
  if (present(body, "prompt") != nullptr) TRY(add_provider_tool(request, "prompt"));
  if (TRY(flag(body, "background"))) TRY(add_provider_tool(request, "background"));
  if (request.model.empty() && present(body, "prompt") != nullptr) request.model = "(of a prompt)";
  return request;
}

Result<LlmRequest> openai_responses_input(const RequestText& text) {
  const JsonObject body = TRY(scan_object(text.json, text.known));
  LlmRequest request;
  TRY(read_input(text, body, request));
  TRY(read_tools(body, request));
  return request;
}

Result<void> read_openai_responses(std::string_view text, AnswerBuilder& into) {
  const JsonObject body = TRY(scan_object(text));
  if (!text_or(body, "object").starts_with("response")) {
    return failure(Error::kUpstream, "the answer is no response object");
  }
  TRY(read_response(body, into));
  return read_output(body, into);
}

Result<void> read_openai_responses_event(std::string_view data, AnswerBuilder& into) {
  const JsonObject event = TRY(scan_object(data));
  const std::string type = text_or(event, "type");
  if (has_integer(event, "sequence_number")) into.sequence = integer(event, "sequence_number");
  const std::int64_t key = integer(event, "output_index");
  const std::string delta = text_or(event, "delta");
  if (type == "response.output_text.delta" || type == "response.refusal.delta") {
    into.add_text(delta);
  } else if (type == "response.reasoning_text.delta"
             || type == "response.reasoning_summary_text.delta") {
    into.add_reasoning(delta);
  } else if (type == "response.function_call_arguments.delta"
             || type == "response.custom_tool_call_input.delta"
             || type == "response.mcp_call_arguments.delta") {
    LlmToolCall& call = *TRY(into.tool_call(key));
    into.append(call.arguments, delta);
  } else if (type == "response.output_item.added" || type == "response.output_item.done") {
    const JsonObject item = TRY(inner(event, "item"));
    const std::string kind = text_or(item, "type");
    if (kind.ends_with("_call")) TRY(read_call(item, kind, key, into));
  } else if (type == "response.created") {
    TRY(read_response(TRY(inner(event, "response")), into));
  } else if (ends(type)) {
    TRY(read_last(event, into));
  } else if (type == "error") {
    const auto nested = TRY(inner(event, "error")).string("message");
    into.answer.error = nested ? *nested : text_or(event, "message");
  }
  return into.fits();
}

}  // namespace gatehouse::wire
