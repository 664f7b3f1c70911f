// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "base/encoding.h"
#include "wire/mcp.h"

namespace {

using namespace gatehouse::wire;

// Without what a trace is: keys and the bytes of values.
std::string others(const JsonObject& object) {
  std::string out;
  for (const JsonMember& member : object.members) {
    if (member.key == "traceparent" || member.key == "tracestate" || member.key == "_meta")
      continue;
    out += member.key + '\0' + std::string(member.value.raw) + '\0';
  }
  return out;
}

// What is carried is read again, and all else is the same message.
void check_edit(std::string_view text, const JsonRpcMessage& message, const McpParams& params,
                const TextEdit& edit) {
  const std::string with = edited(text, edit);
  const auto again = JsonRpcMessage::parse(with);
  if (!again || again->method != message.method || again->id != message.id) std::abort();
  const auto now = McpParams::of(*again);
  if (!now || !now->params || !now->meta) std::abort();
  const bool had_own = params.meta && params.meta->find("traceparent") != nullptr;
  if (message.kind == JsonRpcMessage::Kind::kRequest || had_own) {
    if (now->traceparent() != "00-t") std::abort();
  }
  if (params.params && others(*params.params) != others(*now->params)) std::abort();
  if (params.meta && others(*params.meta) != others(*now->meta)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto message = JsonRpcMessage::parse(gatehouse::text_of({data, size}));
  if (!message) return 0;
  const std::string_view text = gatehouse::text_of({data, size});
  const auto params = McpParams::of(*message);
  if (params) {
    const auto call = McpToolCall::of(*message, *params);
    for (const bool is_continued : {false, true}) {
      const auto edit = trace_edit(text, *message, *params, "00-t", is_continued);
      if (edit) check_edit(text, *message, *params, *edit);
    }
    if (call && call->name.empty()) std::abort();
  }
  (void)McpToolResult::of(*message);
  if (!JsonRpcMessage::parse(json_rpc_error(message->id, -32600, message->method))) std::abort();
  return 0;
}
