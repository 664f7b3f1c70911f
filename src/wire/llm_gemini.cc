// SPDX-License-Identifier: Apache-2.0
// Google's Gemini: generateContent, its streams, countTokens and embeddings. Members may be written
// as in protobuf (system_instruction) or as in JSON (systemInstruction).
// (https://ai.google.dev/api/generate-content)
#include <algorithm>
#include <iterator>

#include "wire/llm_parts.h"

namespace gatehouse::wire {
namespace {

// google_search -> googleSearch.
std::string camel(std::string_view name) {
  std::string out;
  bool is_next_upper = false;
  for (const char c : name) {
    if (c == '_') {
      is_next_upper = true;
      continue;
    }
    const bool is_lower = c >= 'a' && c <= 'z';
    out += is_next_upper && is_lower ? static_cast<char>(c - 'a' + 'A') : c;
    is_next_upper = false;
  }
  return out;
}

// The object with its members' names in one spelling. Errors: kInvalid for a member in both.
Result<JsonObject> spelled(JsonObject object) {
  for (JsonMember& member : object.members) member.key = camel(member.key);
  for (auto at = object.members.begin(); at != object.members.end(); ++at) {
    const auto is_twin = [&](const JsonMember& other) { return other.key == at->key; };
    if (std::any_of(std::next(at), object.members.end(), is_twin)) {
      return failure(Error::kInvalid, "'" + at->key.substr(0, 64) + "' is there in two spellings");
    }
  }
  return object;
}

Result<JsonObject> scanned(const JsonValue& value) { return spelled(TRY(scan_object(value.raw))); }
Result<JsonObject> within(const JsonObject& object, std::string_view key) {
  return spelled(TRY(inner(object, key)));
}

// The text of a content: its text parts, and what functions gave.
Result<LlmMessage> message_of(const JsonObject& content, std::string_view usual_role) {
  LlmMessage message{content.string("role").value_or(std::string(usual_role)), ""};
  bool only_results = true;
  for (const JsonValue& element : TRY(elements(content, "parts"))) {
    const JsonObject part = TRY(scanned(element));
    const JsonObject given = TRY(within(part, "functionResponse"));
    only_results = only_results && !given.members.empty();
    if (const JsonValue* const response = present(given, "response")) {
      add_line(message.text, response->raw);
    }
    add_line(message.text, text_or(part, "text"));
  }
  if (only_results && !message.text.empty()) message.role = "tool";
  return message;
}

Result<void> read_contents(const RequestText& text, const JsonObject& body, LlmRequest& request) {
  const auto all = TRY(elements(body, "contents", text.known));
  note_parts(text, body, {"contents", all}, request);
  const auto fresh = TRY(since_role(all, text.known, request, "model"));
  if (const JsonObject system = TRY(within(body, "systemInstruction"));
      fresh.size() == all.size() && !system.members.empty()) {
    LlmMessage message = TRY(message_of(system, "system"));
    message.role = "system";
    request.new_messages.push_back(std::move(message));
  }
  for (const JsonValue& content : fresh) {
    request.new_messages.push_back(TRY(message_of(TRY(scanned(content)), "user")));
  }
  return {};
}

Result<void> read_tools(const JsonObject& body, LlmRequest& request) {
  for (const JsonValue& element : TRY(elements(body, "tools"))) {
    const JsonObject tool = TRY(scanned(element));
    for (const JsonMember& member : tool.members) {
      if (member.value.is(JsonType::kNull)) continue;
      if (member.key == "mcpServers") {
        TRY(add_provider_tool(request, "mcp"));
      } else if (member.key != "functionDeclarations") {
        TRY(add_provider_tool(request, member.key));
      }
    }
    for (const JsonValue& declared : TRY(elements(tool, "functionDeclarations"))) {
      TRY(add_tool(request, text_or(TRY(scan_object(declared.raw)), "name")));
    }
  }
  // What was stored at the provider can bring tools that nobody sees here.
  if (present(body, "cachedContent") != nullptr) {
    TRY(add_provider_tool(request, "cachedContent"));
  }
  return {};
}

Result<void> read_embedded(const JsonObject& body, LlmRequest& request) {
  std::vector<JsonObject> asked;
  if (present(body, "content") != nullptr) asked.push_back(body);
  for (const JsonValue& element : TRY(elements(body, "requests"))) {
    asked.push_back(TRY(scanned(element)));
  }
  for (const JsonObject& one : asked) {
    request.new_messages.push_back(TRY(message_of(TRY(within(one, "content")), "user")));
  }
  return {};
}

Result<std::int64_t> audio_of(const JsonObject& usage, std::string_view details) {
  std::int64_t tokens = 0;
  for (const JsonValue& element : TRY(elements(usage, details))) {
    const JsonObject one = TRY(scan_object(element.raw));
    if (one.string("modality") == "AUDIO")
      tokens = saturated_sum(tokens, integer(one, "tokenCount"));
  }
  return tokens;
}

// Each chunk's counts are of all so far.
Result<void> read_usage(const JsonObject& body, LlmAnswer& answer) {
  const JsonObject usage = TRY(inner(body, "usageMetadata"));
  if (usage.members.empty()) return {};
  answer.usage = Usage{
      .input = saturated_sum(integer(usage, "promptTokenCount"),
                             integer(usage, "toolUsePromptTokenCount")),
      .cache_read = integer(usage, "cachedContentTokenCount"),
      .input_audio = TRY(audio_of(usage, "promptTokensDetails")),
      .output = saturated_sum(integer(usage, "candidatesTokenCount"),
                              integer(usage, "thoughtsTokenCount")),
      .reasoning = integer(usage, "thoughtsTokenCount"),
      .output_audio = TRY(audio_of(usage, "candidatesTokensDetails")),
  };
  return {};
}

Result<void> read_part(const JsonObject& part, AnswerBuilder& into) {
  const std::string text = text_or(part, "text");
  if (TRY(flag(part, "thought"))) {
    into.add_reasoning(text);
  } else {
    into.add_text(text);
  }
  for (const std::string_view kind : {"functionCall", "toolCall", "executableCode"}) {
    const JsonObject called = TRY(inner(part, kind));
    if (called.members.empty()) continue;
    LlmToolCall& call =
        *TRY(into.tool_call(static_cast<std::int64_t>(into.answer.tool_calls.size())));
    into.append(call.id, text_or(called, "id"));
    call.at_provider = kind != "functionCall";
    if (kind == "executableCode") {
      into.append(call.name, "codeExecution");
      into.append(call.arguments, text_or(called, "code"));
      continue;
    }
    into.append(call.name, text_or(called, kind == "toolCall" ? "toolType" : "name"));
    if (const JsonValue* const args = present(called, "args")) {
      into.append(call.arguments, args->raw);
    }
  }
  return {};
}

Result<void> read_candidate(const JsonObject& candidate, AnswerBuilder& into) {
  const auto index = static_cast<std::size_t>(integer(candidate, "index"));
  into.answer.choices = std::max(into.answer.choices, index + 1);
  if (index != 0) return {};
  for (const JsonValue& element : TRY(elements(TRY(inner(candidate, "content")), "parts"))) {
    TRY(read_part(TRY(scan_object(element.raw)), into));
  }
  if (auto reason = candidate.string("finishReason")) {
    into.answer.finish_reason = *std::move(reason);
    into.answer.is_complete = true;
  }
  return {};
}

}  // namespace

Result<LlmRequest> gemini_request(LlmOperation operation, const RequestText& text) {
  JsonObject body = TRY(spelled(TRY(scan_object(text.json, text.known))));
  LlmRequest request;
  if (operation == LlmOperation::kEmbeddings) {
    TRY(read_embedded(body, request));
    return request;
  }
  if (operation == LlmOperation::kCountTokens && present(body, "generateContentRequest")) {
    body = TRY(within(body, "generateContentRequest"));
  }
  const JsonValue* const contents = present(body, "contents");
  if (contents == nullptr || !contents->is(JsonType::kArray)) {
    return wrong_type("contents", "an array");
  }
  request.max_tokens = integer(TRY(within(body, "generationConfig")), "maxOutputTokens");
  TRY(read_contents(text, body, request));
  TRY(read_tools(body, request));
  return request;
}

Result<void> read_gemini(std::string_view text, AnswerBuilder& into) {
  const JsonObject body = TRY(scan_object(text));
  if (present(body, "error") != nullptr) {
    into.answer.error = text_or(TRY(inner(body, "error")), "message");
    return failure(Error::kUpstream, "the provider sent an error in place of an answer");
  }
  if (into.answer.id.empty()) into.answer.id = text_or(body, "responseId");
  if (into.answer.model.empty()) into.answer.model = text_or(body, "modelVersion");
  TRY(read_usage(body, into.answer));
  for (const JsonValue& element : TRY(elements(body, "candidates"))) {
    TRY(read_candidate(TRY(scan_object(element.raw)), into));
  }
  const std::string blocked = text_or(TRY(inner(body, "promptFeedback")), "blockReason");
  if (!blocked.empty()) into.answer.finish_reason = blocked;
  const bool is_other = has_integer(body, "totalTokens") || present(body, "embedding") != nullptr
                        || present(body, "embeddings") != nullptr;
  if (!blocked.empty() || is_other) into.answer.is_complete = true;
  return into.fits();
}

}  // namespace gatehouse::wire
