// SPDX-License-Identifier: Apache-2.0
// What rules and transcripts need of the Model Context Protocol, revision 2025-11-25.
#pragma once

#include <optional>
#include <string>

#include "wire/jsonrpc.h"

namespace gatehouse::wire {

inline constexpr std::string_view kMcpRevision = "2025-11-25";

// A message's params, looked into once.
struct McpParams {
  std::optional<JsonObject> params;  // where it has some that are an object
  std::optional<JsonObject> meta;    // params._meta, where that is an object

  // Errors: kInvalid when two of its keys are equal once decoded.
  [[nodiscard]] static Result<McpParams> of(const JsonRpcMessage& message);
  // The sender's, not yet parsed; "" for none.
  [[nodiscard]] std::string traceparent() const;
};

struct McpToolCall {
  std::string name;
  std::string_view arguments;  // a view of the message: an object, or empty when there is none

  // Of a tools/call request. Errors: kInvalid.
  [[nodiscard]] static Result<McpToolCall> of(const JsonRpcMessage& message,
                                              const McpParams& params);
};

struct McpToolResult {
  bool is_error = false;   // isError, or a JSON-RPC error
  std::string text;        // text blocks, or the error's message; at most 4 KiB
  std::size_t blocks = 0;  // of content, of any type

  // Of the response to tools/call. Errors: kInvalid.
  [[nodiscard]] static Result<McpToolResult> of(const JsonRpcMessage& message);
};

// The edit that has params._meta carry that traceparent, as OpenTelemetry's conventions for MCP
// have it; all else keeps its bytes. A request gets it, a notification only in the place of its
// own. A tracestate stays where it goes on from there (`is_continued`) and is well-formed, else it
// is emptied. None where there is nothing to change or no place for it: a response, params or _meta
// of another type. `message` is of `text`, and `params` of `message`.
[[nodiscard]] std::optional<TextEdit> trace_edit(std::string_view text,
                                                 const JsonRpcMessage& message,
                                                 const McpParams& params,
                                                 std::string_view traceparent, bool is_continued);

}  // namespace gatehouse::wire
