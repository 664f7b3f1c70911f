// SPDX-License-Identifier: Apache-2.0
// OpenAI's Chat Completions, legacy completions and embeddings, as OpenAI and those who speak like
// it have them. (https://platform.openai.com/docs/api-reference/chat)
#include <algorithm>
#include <iterator>

#include "wire/llm_parts.h"

namespace gatehouse::wire {
namespace {

Result<void> read_messages(const RequestText& text, const JsonObject& body, LlmRequest& request) {
  const JsonValue* const messages = present(body, "messages");
  if (messages == nullptr || !messages->is(JsonType::kArray)) {
    return wrong_type("messages", "an array");
  }
  const auto all = TRY(scan_array(messages->raw, text.known));
  for (const JsonValue& element : TRY(since_role(all, text.known, request, "assistant"))) {
    const JsonObject message = TRY(scan_object(element.raw));
    request.new_messages.push_back(
        {text_or(message, "role"), TRY(text_of_content(present(message, "content")))});
  }
  note_parts(text, body, {"messages", all}, request);
  return {};
}

// What a completion can ask the provider, or a router in front of it, to fetch by itself.
Result<void> read_searches(const JsonObject& body, LlmRequest& request) {
  if (present(body, "web_search_options") != nullptr) {
    TRY(add_provider_tool(request, "web_search"));
  }
  if (present(body, "search_parameters") != nullptr) {
    TRY(add_provider_tool(request, "web_search"));
  }
  for (const JsonValue& element : TRY(elements(body, "plugins"))) {
    const JsonObject plugin = TRY(scan_object(element.raw));
    TRY(add_provider_tool(request, "plugin:" + text_or(plugin, "id")));
  }
  if (request.model.ends_with(":online")) TRY(add_provider_tool(request, "web_search"));
  return {};
}

Result<void> read_tools(const JsonObject& body, LlmRequest& request) {
  TRY(read_searches(body, request));
  for (const JsonValue& element : TRY(elements(body, "tools"))) {
    const JsonObject tool = TRY(scan_object(element.raw));
    auto type = tool.string("type");
    if (!type) return wrong_type("tools[].type", "a string");
    if (*type != "function" && *type != "custom") {
      TRY(add_provider_tool(request, *type == "mcp" ? mcp_tool(text_or(tool, "server_url"))
                                                    : without_version(*type)));
      continue;
    }
    auto name = TRY(inner(tool, *type)).string("name");
    if (!name) return wrong_type("tools[]", "a definition with a name");
    TRY(add_tool(request, *std::move(name)));
  }
  return {};
}

// stream_options.include_usage true, spliced into `body`.
Result<TextEdit> usage_edit(const JsonObject& object, std::string_view body) {
  const JsonValue* const options = object.find("stream_options");
  if (options == nullptr) {
    return with_member(body, object, R"("stream_options":{"include_usage":true})");
  }
  if (options->is(JsonType::kNull)) {
    return replacing(body, options->raw, R"({"include_usage":true})");
  }
  const JsonObject inside = TRY(scan_object(options->raw));
  const JsonValue* const usage = inside.find("include_usage");
  if (usage == nullptr) return with_member(body, inside, R"("include_usage":true)");
  return replacing(body, usage->raw, "true");
}

Result<void> read_usage(const JsonObject& body, LlmAnswer& answer) {
  const JsonObject usage = TRY(inner(body, "usage"));
  if (usage.members.empty()) return {};
  const JsonObject prompt = TRY(inner(usage, "prompt_tokens_details"));
  const JsonObject completion = TRY(inner(usage, "completion_tokens_details"));
  answer.usage = Usage{
      .input = integer(usage, "prompt_tokens"),
      .cache_read = integer(prompt, "cached_tokens"),
      .cache_write_5m = integer(prompt, "cache_write_tokens"),
      .input_audio = integer(prompt, "audio_tokens"),
      .output = integer(usage, "completion_tokens"),
      .reasoning = integer(completion, "reasoning_tokens"),
      .output_audio = integer(completion, "audio_tokens"),
  };
  return {};
}

Result<void> read_tool_calls(const JsonObject& message, AnswerBuilder& into) {
  const JsonValue* const calls = present(message, "tool_calls");
  if (calls == nullptr || !calls->is(JsonType::kArray)) return {};
  std::int64_t position = 0;
  for (const JsonValue& element : TRY(scan_array(calls->raw))) {
    const JsonObject call = TRY(scan_object(element.raw));
    // A streamed part names its call by index; a whole answer's calls are in order.
    const JsonValue* const index = present(call, "index");
    const std::int64_t at = index == nullptr ? position : index->integer().value_or(position);
    ++position;
    LlmToolCall& kept = *TRY(into.tool_call(at));
    const bool is_custom = call.string("type") == "custom";
    const JsonObject function = TRY(inner(call, is_custom ? "custom" : "function"));
    if (const auto id = call.string("id"); id && kept.id.empty()) into.append(kept.id, *id);
    if (const auto name = function.string("name"); name && kept.name.empty()) {
      into.append(kept.name, *name);
    }
    into.append(kept.arguments, text_or(function, is_custom ? "input" : "arguments"));
  }
  return {};
}

Result<void> read_choices(const JsonObject& body, std::string_view message_key,
                          AnswerBuilder& into) {
  const JsonValue* const choices = present(body, "choices");
  if (choices == nullptr || !choices->is(JsonType::kArray)) {
    return failure(Error::kUpstream, "the answer has no 'choices'");
  }
  for (const JsonValue& element : TRY(scan_array(choices->raw))) {
    const JsonObject choice = TRY(scan_object(element.raw));
    const auto index = static_cast<std::size_t>(integer(choice, "index"));
    into.answer.choices = std::max(into.answer.choices, index + 1);
    if (index != 0) continue;
    if (auto reason = choice.string("finish_reason")) {
      into.answer.finish_reason = *std::move(reason);
    }
    into.add_text(text_or(choice, "text"));  // legacy completions
    const JsonObject message = TRY(inner(choice, message_key));
    into.add_text(text_or(message, "content"));
    into.add_text(text_or(message, "refusal"));
    const auto reasoning = message.string("reasoning_content");
    into.add_reasoning(reasoning ? *reasoning : text_or(message, "reasoning"));
    TRY(read_tool_calls(message, into));
  }
  return {};
}

Result<void> read_answer(std::string_view text, std::string_view message_key, AnswerBuilder& into) {
  const JsonObject body = TRY(scan_object(text));
  if (present(body, "error") != nullptr) {
    const JsonObject error = TRY(inner(body, "error"));
    into.answer.error = text_or(error, "message");
    return failure(Error::kUpstream, "the provider sent an error in place of an answer");
  }
  if (into.answer.model.empty()) into.answer.model = text_or(body, "model");
  if (into.answer.id.empty()) into.answer.id = text_or(body, "id");
  TRY(read_usage(body, into.answer));
  TRY(read_choices(body, message_key, into));
  return into.fits();
}

}  // namespace

Result<LlmRequest> openai_chat_request(const RequestText& text) {
  const JsonObject body = TRY(scan_object(text.json, text.known));
  LlmRequest request;
  request.model = TRY(model_of(body));
  request.other_models = TRY(other_models_of(body));
  request.stream = TRY(flag(body, "stream"));
  if (const JsonValue* const options = present(body, "stream_options")) {
    if (!options->is(JsonType::kObject)) return wrong_type("stream_options", "an object");
    request.asks_for_usage = TRY(flag(TRY(scan_object(options->raw)), "include_usage"));
  }
  request.max_tokens =
      std::max(integer(body, "max_completion_tokens"), integer(body, "max_tokens"));
  TRY(read_messages(text, body, request));
  TRY(read_tools(body, request));
  if (request.stream && !request.asks_for_usage)
    request.usage_edit = TRY(usage_edit(body, text.json));
  return request;
}

Result<LlmRequest> openai_other_request(LlmOperation operation, std::string_view text) {
  const JsonObject body = TRY(scan_object(text));
  const bool embeds = operation == LlmOperation::kEmbeddings;
  LlmRequest request;
  request.model = TRY(model_of(body));
  request.other_models = TRY(other_models_of(body));
  request.max_tokens = integer(body, "max_tokens");
  if (!embeds) {
    request.stream = TRY(flag(body, "stream"));
    TRY(read_searches(body, request));
  }
  // A text, several, or tokens, which say nothing to people.
  const JsonValue* const input = present(body, embeds ? "input" : "prompt");
  if (input == nullptr) return wrong_type(embeds ? "input" : "prompt", "there");
  std::string joined = input->string().value_or("");
  if (input->is(JsonType::kArray)) {
    for (const JsonValue& element : TRY(scan_array(input->raw))) {
      const auto one = element.string();
      if (one) joined += (joined.empty() ? "" : "\n") + *one;
    }
  }
  if (!joined.empty()) request.new_messages.push_back({"user", std::move(joined)});
  return request;
}

Result<void> read_openai_chat(std::string_view body, AnswerBuilder& into) {
  TRY(read_answer(body, "message", into));
  into.answer.is_complete = true;
  return {};
}

Result<void> read_openai_chat_event(std::string_view data, AnswerBuilder& into) {
  if (data == "[DONE]") {
    into.answer.is_complete = true;
    return {};
  }
  return read_answer(data, "delta", into);
}

Result<void> read_openai_other(std::string_view text, AnswerBuilder& into) {
  const JsonObject body = TRY(scan_object(text));
  if (present(body, "choices") != nullptr) return read_openai_chat(text, into);
  into.answer.model = text_or(body, "model");
  TRY(read_usage(body, into.answer));
  into.answer.is_complete = present(body, "data") != nullptr;
  if (!into.answer.is_complete) return failure(Error::kUpstream, "the answer has no 'data'");
  return {};
}

Result<void> read_openai_other_event(std::string_view data, AnswerBuilder& into) {
  return read_openai_chat_event(data, into);
}

bool is_usage_chunk(std::string_view data) {
  // Where usage was asked for, every chunk says at least that it has none.
  if (!may_say(data, "usage") || data.contains(R"("choices":[{)")) return false;
  const auto body = scan_object(data);
  if (!body) return false;
  const JsonValue* const usage = present(*body, "usage");
  const JsonValue* const choices = present(*body, "choices");
  if (usage == nullptr || !usage->is(JsonType::kObject) || choices == nullptr) return false;
  if (!choices->is(JsonType::kArray)) return false;
  const auto each = scan_array(choices->raw);
  return each && each->empty();
}

}  // namespace gatehouse::wire
