// SPDX-License-Identifier: Apache-2.0
#include "wire/llm_parts.h"

#include <algorithm>

#include "base/encoding.h"
#include "wire/characters.h"
#include "wire/url.h"

namespace gatehouse::wire {
namespace {

constexpr std::size_t kMaxAnswer = 16 * 1024 * 1024;
constexpr std::size_t kMaxToolCalls = 256;
constexpr std::size_t kMaxTools = 4096;
constexpr std::size_t kMessageLeast = 256;  // of a part; below, it costs more than it saves
constexpr std::size_t kMemberLeast = 1024;

Result<void> add(std::vector<std::string>& tools, std::string name) {
  if (tools.size() >= kMaxTools) {
    return failure(Error::kTooMany, "the request has more than 4096 tools");
  }
  tools.push_back(std::move(name));
  return {};
}

}  // namespace

Failure wrong_type(std::string_view member, std::string_view type) {
  return failure(Error::kInvalid, "'" + std::string(member) + "' must be " + std::string(type)
                                      + " in a request to a model");
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

std::int64_t integer(const JsonObject& object, std::string_view key) {
  const JsonValue* const value = object.find(key);
  const std::int64_t number = value == nullptr ? 0 : value->integer().value_or(0);
  return number < 0 ? 0 : number;
}

bool has_integer(const JsonObject& object, std::string_view key) {
  const JsonValue* const value = object.find(key);
  return value != nullptr && value->integer().has_value();
}

Result<JsonObject> inner(const JsonObject& object, std::string_view key) {
  const JsonValue* const value = present(object, key);
  if (value == nullptr || !value->is(JsonType::kObject)) return JsonObject{};
  return scan_object(value->raw);
}

Result<std::vector<JsonValue>> elements(const JsonObject& object, std::string_view key,
                                        const KnownJson& known) {
  const JsonValue* const value = present(object, key);
  if (value == nullptr) return std::vector<JsonValue>{};
  if (!value->is(JsonType::kArray)) return wrong_type(key, "an array");
  return scan_array(value->raw, known);
}

std::string text_or(const JsonObject& object, std::string_view key) {
  return object.string(key).value_or("");
}

void add_line(std::string& text, std::string_view line) {
  if (line.empty()) return;
  if (!text.empty()) text += '\n';
  text += line;
}

std::int64_t saturated_sum(std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  return __builtin_add_overflow(a, b, &out) ? INT64_MAX : out;
}

namespace {

// Some servers (Go's encoding/json) take a key in any case, and of two the last.
Result<void> check_spelling(const JsonObject& body, std::string_view key) {
  const auto is_other = [&](const JsonMember& member) {
    return member.key != key && equal_ignoring_case(member.key, key);
  };
  const auto found = std::ranges::find_if(body.members, is_other);
  if (found == body.members.end()) return {};
  return failure(Error::kInvalid, "the key '" + printable(found->key) + "' could be taken for '"
                                      + std::string(key) + "': spell it so");
}

}  // namespace

Result<std::string> model_of(const JsonObject& body) {
  TRY(check_spelling(body, "model"));
  const JsonValue* const model = present(body, "model");
  if (model == nullptr) return std::string();
  if (auto text = model->string()) return *std::move(text);
  return wrong_type("model", "a string");
}

Result<std::vector<std::string>> other_models_of(const JsonObject& body) {
  std::vector<std::string> models;
  for (const char* key : {"models", "fallbacks"}) {
    TRY(check_spelling(body, key));
    for (const JsonValue& element : TRY(elements(body, key))) {
      auto name = element.string();
      if (element.is(JsonType::kObject)) name = TRY(scan_object(element.raw)).string("model");
      if (!name) return wrong_type(key, "an array of models' names");
      models.push_back(*std::move(name));
    }
  }
  return models;
}

Result<std::string> text_of_content(const JsonValue* content) {
  if (content == nullptr) return std::string();
  if (auto text = content->string()) return *std::move(text);
  if (!content->is(JsonType::kArray)) return wrong_type("content", "a string or an array");
  std::string out;
  for (const JsonValue& element : TRY(scan_array(content->raw))) {
    if (!element.is(JsonType::kObject)) continue;
    if (auto text = TRY(scan_object(element.raw)).string("text")) {
      add_line(out, *text);
    }
  }
  return out;
}

bool may_say(std::string_view json, std::string_view word) {
  return json.contains(word) || json.contains("\\u00");
}

void note_parts(const RequestText& text, const JsonObject& body, const Conversation& conversation,
                LlmRequest& request) {
  const auto note = [&](const JsonValue& value, bool is_message) {
    const auto at = static_cast<std::size_t>(value.raw.data() - text.json.data());
    request.parts.push_back({at, value.raw.size(), is_message});
  };
  for (const JsonValue& element : conversation.all) {
    if (element.raw.size() < kMessageLeast) continue;
    const bool tells = !conversation.telling.empty() && !text.known.holds(element)
                       && may_say(element.raw, conversation.telling);
    note(element, element.is(JsonType::kObject) && !tells);
  }
  for (const JsonMember& member : body.members) {
    if (member.key == conversation.key || member.value.raw.size() < kMemberLeast) continue;
    note(member.value, false);
  }
  std::ranges::sort(request.parts, {}, &LlmPart::at);
}

std::string without_version(std::string_view tool) {
  const auto is_date = [](std::string_view text) {
    std::size_t digits = 0;
    for (const char c : text) {
      if (c != '_' && !is(kDigitChar, c)) return false;
      digits += c == '_' ? 0 : 1;
    }
    return digits == 8;
  };
  for (std::size_t at = tool.find('_'); at != std::string_view::npos; at = tool.find('_', at + 1)) {
    if (is_date(tool.substr(at + 1))) return std::string(tool.substr(0, at));
  }
  return std::string(tool);
}

std::string mcp_tool(std::string_view url) {
  const auto parsed = Url::parse(url);
  return parsed ? "mcp:" + std::string(parsed->host.text()) : "mcp";
}

Result<void> add_tool(LlmRequest& request, std::string name) {
  return add(request.tools, std::move(name));
}
Result<void> add_provider_tool(LlmRequest& request, std::string name) {
  return add(request.provider_tools, std::move(name));
}

LlmToolCall* AnswerBuilder::known_tool_call(std::int64_t key) {
  const auto found = slots_.find(key);
  return found == slots_.end() ? nullptr : &answer.tool_calls[found->second];
}

Result<LlmToolCall*> AnswerBuilder::tool_call(std::int64_t key) {
  if (LlmToolCall* const known = known_tool_call(key)) return known;
  if (answer.tool_calls.size() >= kMaxToolCalls) {
    return failure(Error::kTooMany, "the answer has more than 256 tool calls");
  }
  slots_[key] = answer.tool_calls.size();
  return &answer.tool_calls.emplace_back();
}

void AnswerBuilder::append(std::string& to, std::string_view part) {
  if (is_over_ || part.size() > kMaxAnswer - size_) {
    is_over_ = true;
    return;
  }
  size_ += part.size();
  to += part;
}

Result<void> AnswerBuilder::fits() const {
  if (is_over_) return failure(Error::kTooLarge, "the answer is larger than 16 MiB");
  return {};
}

}  // namespace gatehouse::wire
