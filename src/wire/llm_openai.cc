// SPDX-License-Identifier: Apache-2.0
#include "wire/llm_openai.h"

#include <algorithm>
#include <iterator>

#include "wire/json.h"

namespace gatehouse::wire {
namespace {

constexpr std::size_t kMaxAnswer = 16 * 1024 * 1024;
constexpr std::size_t kMaxToolCalls = 256;

Failure wrong_type(std::string_view member, std::string_view type) {
  return failure(Error::kInvalid, "'" + std::string(member) + "' must be " + std::string(type)
                                      + " in a chat request");
}

const JsonValue* present(const JsonObject& object, std::string_view key) {
  const JsonValue* const value = object.find(key);
  return value != nullptr && !value->is(JsonType::kNull) ? value : nullptr;
}

Result<bool> flag(const JsonObject& object, std::string_view key) {
  const JsonValue* const value = present(object, key);
  if (value == nullptr) return false;
  if (!value->is(JsonType::kBoolean)) return wrong_type(key, "true or false");
  return *value->boolean();
}

// The text of a message's content: a string, or parts of which some are text.
Result<std::string> content_text(const JsonObject& message) {
  const JsonValue* const content = present(message, "content");
  if (content == nullptr) return std::string();
  if (auto text = content->string()) return *std::move(text);
  if (!content->is(JsonType::kArray)) return wrong_type("content", "a string or an array");
  std::string out;
  for (const JsonValue& element : TRY(scan_array(content->raw))) {
    if (!element.is(JsonType::kObject)) continue;
    if (auto text = TRY(scan_object(element.raw)).string("text")) {
      if (!out.empty()) out += '\n';
      out += *text;
    }
  }
  return out;
}

Result<void> read_messages(const JsonObject& body, OpenAiRequest& request) {
  const JsonValue* const messages = present(body, "messages");
  if (messages == nullptr || !messages->is(JsonType::kArray)) {
    return wrong_type("messages", "an array");
  }
  const auto elements = TRY(scan_array(messages->raw));
  request.messages = elements.size();
  auto first_new = elements.end();
  while (first_new != elements.begin()) {
    const JsonObject message = TRY(scan_object(std::prev(first_new)->raw));
    if (message.string("role") == "assistant") break;
    --first_new;
  }
  for (auto at = first_new; at != elements.end(); ++at) {
    const JsonObject message = TRY(scan_object(at->raw));
    request.new_messages.push_back(
        {message.string("role").value_or(""), TRY(content_text(message))});
  }
  return {};
}

Result<void> read_tools(const JsonObject& body, OpenAiRequest& request) {
  if (present(body, "web_search_options") != nullptr) {
    request.provider_tools.emplace_back("web_search");
  }
  const JsonValue* const tools = present(body, "tools");
  if (tools == nullptr) return {};
  if (!tools->is(JsonType::kArray)) return wrong_type("tools", "an array");
  for (const JsonValue& element : TRY(scan_array(tools->raw))) {
    const JsonObject tool = TRY(scan_object(element.raw));
    auto type = tool.string("type");
    if (!type) return wrong_type("tools[].type", "a string");
    const JsonValue* const definition = present(tool, *type);
    std::optional<std::string> name;
    if (definition != nullptr && definition->is(JsonType::kObject)) {
      name = TRY(scan_object(definition->raw)).string("name");
    }
    const bool is_the_callers = *type == "function" || *type == "custom";
    if (!is_the_callers) {
      request.provider_tools.push_back(*std::move(type));
    } else if (name) {
      request.tools.push_back(*std::move(name));
    } else {
      return wrong_type("tools[]", "a definition with a name");
    }
  }
  return {};
}

std::int64_t integer(const JsonObject& object, std::string_view key) {
  const JsonValue* const value = object.find(key);
  const std::int64_t number = value == nullptr ? 0 : value->integer().value_or(0);
  return number < 0 ? 0 : number;
}

// An object member of an object, empty if there is none.
Result<JsonObject> inner(const JsonObject& object, std::string_view key) {
  const JsonValue* const value = present(object, key);
  if (value == nullptr || !value->is(JsonType::kObject)) return JsonObject{};
  return scan_object(value->raw);
}

Result<void> read_usage(const JsonObject& body, OpenAiAnswer& answer) {
  const JsonObject usage = TRY(inner(body, "usage"));
  if (usage.members.empty()) return {};
  const JsonObject prompt = TRY(inner(usage, "prompt_tokens_details"));
  const JsonObject completion = TRY(inner(usage, "completion_tokens_details"));
  answer.usage = OpenAiUsage{
      .prompt_tokens = integer(usage, "prompt_tokens"),
      .completion_tokens = integer(usage, "completion_tokens"),
      .cached_tokens = integer(prompt, "cached_tokens"),
      .reasoning_tokens = integer(completion, "reasoning_tokens"),
  };
  return {};
}

Result<void> read_tool_calls(const JsonObject& message, OpenAiAnswer& answer, std::size_t& size) {
  const JsonValue* const calls = present(message, "tool_calls");
  if (calls == nullptr || !calls->is(JsonType::kArray)) return {};
  std::size_t position = 0;
  for (const JsonValue& element : TRY(scan_array(calls->raw))) {
    const JsonObject call = TRY(scan_object(element.raw));
    // A streamed part names its call by index; a whole answer's calls are in order.
    const JsonValue* const index = present(call, "index");
    const std::int64_t at =
        index == nullptr ? static_cast<std::int64_t>(position) : index->integer().value_or(-1);
    ++position;
    if (at < 0 || at >= static_cast<std::int64_t>(kMaxToolCalls)) {
      return failure(Error::kTooMany, "the answer has a tool call beyond number 256");
    }
    const auto slot = static_cast<std::size_t>(at);
    if (answer.tool_calls.size() <= slot) answer.tool_calls.resize(slot + 1);
    OpenAiToolCall& kept = answer.tool_calls[slot];
    const JsonObject function = TRY(inner(call, "function"));
    if (const auto id = call.string("id"); id && kept.id.empty()) kept.id = *id;
    if (const auto name = function.string("name"); name && kept.name.empty()) kept.name = *name;
    if (const auto part = function.string("arguments")) kept.arguments += *part;
    size += element.raw.size();
  }
  return {};
}

Result<void> read_choices(const JsonObject& body, std::string_view message_key,
                          OpenAiAnswer& answer, std::size_t& size) {
  const JsonValue* const choices = present(body, "choices");
  if (choices == nullptr || !choices->is(JsonType::kArray)) {
    return failure(Error::kUpstream, "the answer has no 'choices'");
  }
  for (const JsonValue& element : TRY(scan_array(choices->raw))) {
    const JsonObject choice = TRY(scan_object(element.raw));
    const auto index = static_cast<std::size_t>(integer(choice, "index"));
    answer.choices = std::max(answer.choices, index + 1);
    if (index != 0) continue;
    if (const auto reason = choice.string("finish_reason")) answer.finish_reason = *reason;
    const JsonObject message = TRY(inner(choice, message_key));
    const auto append = [&](std::string& out, std::string_view key) {
      const auto text = message.string(key);
      if (text) out += *text;
      size += text ? text->size() : 0;
      return text.has_value();
    };
    append(answer.text, "content");
    if (!append(answer.reasoning, "reasoning_content")) append(answer.reasoning, "reasoning");
    TRY(read_tool_calls(message, answer, size));
  }
  return {};
}

Result<void> read_answer(std::string_view text, std::string_view message_key, OpenAiAnswer& answer,
                         std::size_t& size) {
  const JsonObject body = TRY(scan_object(text));
  if (present(body, "error") != nullptr) {
    return failure(Error::kUpstream, "the provider sent an error in place of an answer");
  }
  if (answer.model.empty()) answer.model = body.string("model").value_or("");
  TRY(read_usage(body, answer));
  return read_choices(body, message_key, answer, size);
}

Failure as_upstream(const Error& error) {
  const bool ours = error == Error::kTooMany || error == Error::kTooLarge;
  return failure(ours ? error.code() : Error::kUpstream, error.message());
}

}  // namespace

Result<OpenAiRequest> OpenAiRequest::parse(std::string_view text) {
  const JsonObject body = TRY(scan_object(text));
  OpenAiRequest request;
  auto model = body.string("model");
  if (!model || model->empty()) return wrong_type("model", "a string");
  request.model = *std::move(model);
  request.stream = TRY(flag(body, "stream"));
  if (const JsonValue* const options = present(body, "stream_options")) {
    if (!options->is(JsonType::kObject)) return wrong_type("stream_options", "an object");
    const JsonObject inside = TRY(scan_object(options->raw));
    request.include_usage = TRY(flag(inside, "include_usage"));
  }
  request.max_tokens =
      std::max(integer(body, "max_completion_tokens"), integer(body, "max_tokens"));
  TRY(read_messages(body, request));
  TRY(read_tools(body, request));
  return request;
}

Result<OpenAiAnswer> OpenAiAnswer::parse(std::string_view body) {
  OpenAiAnswer answer;
  std::size_t size = 0;
  const auto read = read_answer(body, "message", answer, size);
  if (!read) return as_upstream(read.error());
  return answer;
}

Result<void> OpenAiStream::feed(std::string_view data) {
  if (data == "[DONE]") {
    done_ = true;
    return {};
  }
  const auto read = read_answer(data, "delta", answer_, size_);
  if (!read) return as_upstream(read.error());
  if (size_ > kMaxAnswer) return failure(Error::kTooLarge, "the answer is larger than 16 MiB");
  return {};
}

std::int64_t estimate_tokens(std::size_t bytes) {
  return static_cast<std::int64_t>(bytes / 2 + bytes % 2);
}

std::string openai_error_json(int status, std::string_view type, std::string_view code,
                              std::string_view message) {
  JsonWriter json;
  json.begin_object().key("error").begin_object();
  json.key("message").string(message.empty() ? "HTTP " + std::to_string(status)
                                             : std::string(message));
  json.key("type").string(type).key("param").null().key("code");
  code.empty() ? json.null() : json.string(code);
  json.end_object().end_object();
  return std::move(json).text();
}

Result<std::string> with_include_usage(std::string_view body) {
  const JsonObject object = TRY(scan_object(body));
  const auto replaced = [&](std::string_view part, std::string_view by) {
    const auto at = static_cast<std::size_t>(part.data() - body.data());
    return std::string(body.substr(0, at)).append(by).append(body.substr(at + part.size()));
  };
  // The member at the front of an object, before those that it has.
  const auto with_first = [&](const JsonObject& in, std::string_view member) {
    return replaced(in.raw.substr(1, 0), std::string(member) + (in.members.empty() ? "" : ","));
  };
  const JsonValue* const options = object.find("stream_options");
  if (options == nullptr) return with_first(object, R"("stream_options":{"include_usage":true})");
  if (options->is(JsonType::kNull)) return replaced(options->raw, R"({"include_usage":true})");
  if (!options->is(JsonType::kObject)) return wrong_type("stream_options", "an object");
  const JsonObject inside = TRY(scan_object(options->raw));
  const JsonValue* const usage = inside.find("include_usage");
  if (usage == nullptr) return with_first(inside, R"("include_usage":true)");
  return replaced(usage->raw, "true");
}

}  // namespace gatehouse::wire
