// SPDX-License-Identifier: Apache-2.0
#include "wire/mcp.h"

#include <algorithm>

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

Result<McpToolCall> McpToolCall::of(const JsonRpcMessage& message) {
  const bool is_call =
      message.kind == JsonRpcMessage::Kind::kRequest && message.method == "tools/call";
  if (!is_call || !message.params) {
    return failure(Error::kInvalid, "MCP: this is not a tools/call request with params");
  }
  const JsonObject params = TRY(scan_object(message.params->raw));
  auto name = params.string("name");
  if (!name || name->empty()) return failure(Error::kInvalid, "MCP: tools/call names no tool");
  McpToolCall call{.name = *std::move(name)};
  if (const JsonValue* const arguments = params.find("arguments")) {
    if (!arguments->is(JsonType::kObject)) {
      return failure(Error::kInvalid, "MCP: the arguments of tools/call are not an object");
    }
    call.arguments = arguments->raw;
  }
  if (const JsonValue* const meta = params.find("_meta"); meta && meta->is(JsonType::kObject)) {
    call.traceparent = TRY(scan_object(meta->raw)).string("traceparent").value_or("");
  }
  return call;
}

Result<std::optional<TextEdit>> trace_edit(std::string_view text, const JsonRpcMessage& message,
                                           std::string_view traceparent, bool keeps_state) {
  if (message.kind != JsonRpcMessage::Kind::kRequest) return std::nullopt;
  JsonWriter meta;
  meta.begin_object().key("traceparent").string(traceparent);
  // Right behind the '{' of `in`.
  const auto inserted = [text](const JsonObject& in, std::string_view member) {
    const auto at = static_cast<std::size_t>(in.raw.data() - text.data()) + 1;
    return TextEdit{at, 0, std::string(member) + (in.members.empty() ? "" : ",")};
  };
  if (!message.params) {
    const std::string only = std::move(meta.end_object()).text();
    return inserted(TRY(scan_object(text)), "\"params\":{\"_meta\":" + only + "}");
  }
  if (!message.params->is(JsonType::kObject)) return std::nullopt;
  const JsonObject params = TRY(scan_object(message.params->raw));
  const JsonValue* const old = params.find("_meta");
  if (old == nullptr) {
    return inserted(params, "\"_meta\":" + std::move(meta.end_object()).text());
  }
  if (!old->is(JsonType::kObject)) return std::nullopt;
  for (const JsonMember& member : TRY(scan_object(old->raw)).members) {
    if (member.key == "traceparent" || (member.key == "tracestate" && !keeps_state)) continue;
    meta.key(member.key).raw(member.value.raw);
  }
  return TextEdit{static_cast<std::size_t>(old->raw.data() - text.data()), old->raw.size(),
                  std::move(meta.end_object()).text()};
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
