// SPDX-License-Identifier: Apache-2.0
// What rules and transcripts need of the Model Context Protocol, revision 2025-11-25.
#pragma once

#include <optional>
#include <string>

#include "wire/jsonrpc.h"
#include "wire/llm.h"

namespace gatehouse::wire {

inline constexpr std::string_view kMcpRevision = "2025-11-25";

struct McpToolCall {
  std::string name;
  std::string_view arguments;  // a view of the message: an object, or empty when there is none
  std::string traceparent;     // _meta.traceparent, not yet parsed

  // Of a tools/call request. Errors: kInvalid.
  [[nodiscard]] static Result<McpToolCall> of(const JsonRpcMessage& message);
};

struct McpToolResult {
  bool is_error = false;   // isError, or a JSON-RPC error
  std::string text;        // text blocks, or the error's message; at most 4 KiB
  std::size_t blocks = 0;  // of content, of any type

  // Of the response to tools/call. Errors: kInvalid.
  [[nodiscard]] static Result<McpToolResult> of(const JsonRpcMessage& message);
};

// The edit that has a request's params._meta carry that traceparent, as OpenTelemetry's conventions
// for MCP have it, and a tracestate only where `keeps_state`. What is outside of _meta keeps its
// bytes. None where there is no place for it: a response, a notification, params or _meta of
// another type. `message` is of `text`.
[[nodiscard]] Result<std::optional<TextEdit>> trace_edit(std::string_view text,
                                                         const JsonRpcMessage& message,
                                                         std::string_view traceparent,
                                                         bool keeps_state);

}  // namespace gatehouse::wire
