// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "base/encoding.h"
#include "wire/mcp.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse::wire;
  const auto message = JsonRpcMessage::parse(gatehouse::text_of({data, size}));
  if (!message) return 0;
  (void)McpToolCall::of(*message);
  (void)McpToolResult::of(*message);
  if (!JsonRpcMessage::parse(json_rpc_error(message->id, -32600, message->method))) std::abort();
  return 0;
}
