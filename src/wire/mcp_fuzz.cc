// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "base/encoding.h"
#include "wire/mcp.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse::wire;
  const auto message = JsonRpcMessage::parse(gatehouse::text_of({data, size}));
  if (!message) return 0;
  (void)McpToolCall::of(*message);
  const std::string_view text = gatehouse::text_of({data, size});
  const auto edit = trace_edit(text, *message, "00-t", false);
  if (edit && *edit) {
    // What is carried is read again, and all else is the same message.
    const std::string with = edited(text, **edit);
    const auto again = JsonRpcMessage::parse(with);
    if (!again || again->method != message->method || again->id != message->id) std::abort();
    const auto call = McpToolCall::of(*message);
    if (call) {
      const auto carries = McpToolCall::of(*again);
      if (!carries || carries->traceparent != "00-t" || carries->name != call->name
          || carries->arguments != call->arguments) {
        std::abort();
      }
    }
  }
  (void)McpToolResult::of(*message);
  if (!JsonRpcMessage::parse(json_rpc_error(message->id, -32600, message->method))) std::abort();
  return 0;
}
