// SPDX-License-Identifier: Apache-2.0
#include "gateway/reading.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "wire/jsonrpc.h"
#include "wire/mcp.h"

namespace gatehouse::gateway {
namespace {

constexpr std::size_t kKeptMost = 16 * 1024 * 1024;  // of a body, in the log

std::string tool_calls_json(const std::vector<wire::OpenAiToolCall>& calls) {
  std::string json = "[";
  for (const wire::OpenAiToolCall& call : calls) {
    json += fmt::format(R"({}{{"id":{},"name":{},"arguments":{}}})", json.size() > 1 ? "," : "",
                        json_quoted(call.id), json_quoted(call.name), json_quoted(call.arguments));
  }
  return json + "]";
}

}  // namespace

Reading::~Reading() {
  if (!request_.empty()) intent_.add_body("request", request_);
  if (!answer_.empty()) intent_.add_body("response", answer_);
  intent_.tag("bytes.response", std::to_string(answer_bytes_));
  if (answer_bytes_ > answer_.size()) intent_.tag("response.truncated", "true");
  if (const auto* llm = std::get_if<LlmCall>(&call_)) tell_llm(*llm);
  if (const auto* tool = std::get_if<ToolCall>(&call_)) tell_tool(*tool);
}

void Reading::begin(const wire::ResponseHead& head) {
  const auto type = head.headers.find("content-type");
  is_stream_ = type && type->starts_with("text/event-stream");
  is_success_ = head.status >= 200 && head.status < 300;
}

void Reading::sent(std::string_view payload) {
  if (request_.size() + payload.size() <= kKeptMost) request_ += payload;
}

void Reading::take(std::string_view payload) {
  answer_bytes_ += payload.size();
  if (answer_.size() + payload.size() <= kKeptMost) answer_ += payload;
  if (!is_stream_ || std::holds_alternative<HttpCall>(call_)) return;
  while (!payload.empty() && !events_broken_) {
    const Result<wire::SseProgress> progress = events_.feed(payload);
    if (!progress) {
      events_broken_ = true;  // it is relayed all the same; only the reading ends
      return;
    }
    payload.remove_prefix(progress->consumed);
    if (!progress->event) return;
    if (progress->event->has_data) read_event(progress->event->data);
  }
}

void Reading::read_event(std::string_view data) {
  if (std::holds_alternative<LlmCall>(call_)) {
    (void)chunks_.feed(data);  // what it could read stays; an error event is in the raw bytes
  } else {
    tool_answer_ = data;  // the last message of the stream is the response
  }
}

void Reading::tell_llm(const LlmCall& call) {
  wire::OpenAiAnswer answer;
  if (is_stream_) {
    answer = chunks_.answer();
    intent_.tag("llm.complete", chunks_.done() ? "true" : "false");
  } else if (auto whole = wire::OpenAiAnswer::parse(answer_)) {
    answer = std::move(*whole);
  }
  if (!answer.text.empty()) intent_.add_body("llm.text", answer.text);
  if (!answer.reasoning.empty()) intent_.add_body("llm.reasoning", answer.reasoning);
  if (!answer.tool_calls.empty()) {
    intent_.add_body("llm.tool_calls", tool_calls_json(answer.tool_calls));
  }
  if (!answer.finish_reason.empty()) {
    intent_.tag("llm.finish_reason", std::string_view(answer.finish_reason).substr(0, 64));
  }
  if (answer.usage) {
    intent_.tag("tokens.input", std::to_string(answer.usage->prompt_tokens));
    intent_.tag("tokens.output", std::to_string(answer.usage->completion_tokens));
    intent_.tag("tokens.cached", std::to_string(answer.usage->cached_tokens));
    intent_.tag("tokens.reasoning", std::to_string(answer.usage->reasoning_tokens));
    return;
  }
  if (!is_success_) return;  // nothing was answered that would have cost a token
  std::size_t out = answer.text.size() + answer.reasoning.size();
  for (const wire::OpenAiToolCall& tool : answer.tool_calls) {
    out += tool.name.size() + tool.arguments.size();
  }
  intent_.tag("tokens.input", std::to_string(wire::estimate_tokens(call.input_bytes)));
  intent_.tag("tokens.output", std::to_string(wire::estimate_tokens(out)));
  intent_.tag("tokens.estimated", "true");
}

void Reading::tell_tool(const ToolCall& call) {
  if (call.method != "tools/call") return;
  const auto message = wire::JsonRpcMessage::parse(is_stream_ ? tool_answer_ : answer_);
  if (!message) return;
  const auto result = wire::McpToolResult::of(*message);
  if (!result) return;
  intent_.tag("tool.is_error", result->is_error ? "true" : "false");
  if (!result->text.empty()) intent_.add_body("tool.result", result->text);
}

}  // namespace gatehouse::gateway
