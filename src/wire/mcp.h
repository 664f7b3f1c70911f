// SPDX-License-Identifier: Apache-2.0
// What rules and transcripts need of the Model Context Protocol, revision 2025-11-25.
#pragma once

#include <optional>
#include <string>

#include "wire/jsonrpc.h"

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

}  // namespace gatehouse::wire
