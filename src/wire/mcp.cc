// SPDX-License-Identifier: Apache-2.0
#include "wire/mcp.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "base/encoding.h"
#include "wire/trace.h"

namespace gatehouse::wire {
namespace {

constexpr std::size_t kMaxSummary = 4096;

// At a character's border, so that the summary stays UTF-8.
void append_bounded(std::string& out, std::string_view text) {
  if (out.size() >= kMaxSummary) return;
  if (!out.empty()) out += '\n';
  std::size_t size = std::min(text.size(), kMaxSummary - out.size());
  while (size > 0 && size < text.size() && (text[size] & 0xc0) == 0x80) --size;
  out += text.substr(0, size);
}

}  // namespace

Result<McpParams> McpParams::of(const JsonRpcMessage& message) {
  McpParams out;
  if (!message.params || !message.params->is(JsonType::kObject)) return out;
  out.params = TRY(scan_object(message.params->raw));
  if (const JsonValue* const meta = out.params->find("_meta");
      meta != nullptr && meta->is(JsonType::kObject)) {
    out.meta = TRY(scan_object(meta->raw));
  }
  return out;
}

std::string McpParams::traceparent() const {
  return meta ? meta->string("traceparent").value_or("") : "";
}

Result<McpToolCall> McpToolCall::of(const JsonRpcMessage& message, const McpParams& params) {
  const bool is_call =
      message.kind == JsonRpcMessage::Kind::kRequest && message.method == "tools/call";
  if (!is_call || !params.params) {
    return failure(Error::kInvalid, "MCP: this is not a tools/call request with params");
  }
  auto name = params.params->string("name");
  if (!name || name->empty()) return failure(Error::kInvalid, "MCP: tools/call names no tool");
  McpToolCall call{.name = *std::move(name)};
  if (const JsonValue* const arguments = params.params->find("arguments")) {
    if (!arguments->is(JsonType::kObject)) {
      return failure(Error::kInvalid, "MCP: the arguments of tools/call are not an object");
    }
    call.arguments = arguments->raw;
  }
  return call;
}

std::optional<TextEdit> trace_edit(std::string_view text, const JsonRpcMessage& message,
                                   const McpParams& params, std::string_view traceparent,
                                   bool is_continued) {
  const bool is_request = message.kind == JsonRpcMessage::Kind::kRequest;
  const std::string value = json_quoted(traceparent);
  const std::string member = "\"traceparent\":" + value;
  if (!params.meta) {
    const bool has_place =
        params.params ? params.params->find("_meta") == nullptr : !message.params.has_value();
    if (!is_request || !has_place) return std::nullopt;
    const std::string meta = "\"_meta\":{" + member + "}";
    if (params.params) return with_member(text, *params.params, meta);
    // Behind the message's '{': it has members, this one is the first of them.
    return TextEdit{text.find('{') + 1, 0, "\"params\":{" + meta + "},"};
  }
  const std::string_view old = params.meta->raw;
  std::vector<TextEdit> edits;
  if (const JsonValue* const own = params.meta->find("traceparent")) {
    edits.push_back(replacing(old, own->raw, value));
  } else if (is_request) {
    edits.push_back(with_member(old, *params.meta, member));
  }
  const JsonValue* const state = params.meta->find("tracestate");
  const bool stays =
      is_continued && state != nullptr && state->string() && parse_tracestate(*state->string());
  if (state != nullptr && !stays) edits.push_back(replacing(old, state->raw, "\"\""));
  if (edits.empty()) return std::nullopt;
  std::ranges::sort(edits, std::greater(), &TextEdit::at);  // an edit moves what is behind it
  std::string meta(old);
  for (const TextEdit& edit : edits) meta = edited(meta, edit);
  return replacing(text, old, std::move(meta));
}

Result<McpToolResult> McpToolResult::of(const JsonRpcMessage& message) {
  if (message.kind != JsonRpcMessage::Kind::kResponse) {
    return failure(Error::kInvalid, "MCP: a response is expected");
  }
  McpToolResult summary;
  if (message.error) {
    summary.is_error = true;
    append_bounded(summary.text,
                   TRY(scan_object(message.error->raw)).string("message").value_or(""));
    return summary;
  }
  const JsonObject result = TRY(scan_object(message.result->raw));
  if (const JsonValue* const flag = result.find("isError")) {
    summary.is_error = flag->boolean().value_or(false);
  }
  const JsonValue* const content = result.find("content");
  if (content == nullptr || !content->is(JsonType::kArray)) return summary;
  for (const JsonValue& element : TRY(scan_array(content->raw))) {
    ++summary.blocks;
    if (!element.is(JsonType::kObject)) continue;
    if (const auto text = TRY(scan_object(element.raw)).string("text")) {
      append_bounded(summary.text, *text);
    }
  }
  return summary;
}

}  // namespace gatehouse::wire
