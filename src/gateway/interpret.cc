// SPDX-License-Identifier: Apache-2.0
// INTERPRET: what the request means. The body is read whole where the meaning is in it (LLM and
// MCP).
#include <fmt/format.h>

#include "gateway/exchange.h"
#include "wire/jsonrpc.h"
#include "wire/llm_openai.h"
#include "wire/mcp.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr std::size_t kBodyMost = 16 * 1024 * 1024;         // of a body that is read whole
constexpr Nanos kBodyPieceMost = std::chrono::seconds(30);  // between two pieces of it

bool expects_continue(const wire::Headers& headers) {
  const auto expect = headers.find("expect");
  return expect && wire::equal_ignoring_case(*expect, "100-continue");
}

Task<Result<std::string>> read_body(Gate& gate, Client& client, const wire::RequestHead& head) {
  std::string body;
  if (head.framing.kind == wire::BodyFraming::Kind::kNone) co_return body;
  if (head.framing.length > kBodyMost) {
    co_return failure(Error::kTooLarge, fmt::format("a body of {} bytes; {} is the most here",
                                                    head.framing.length, kBodyMost));
  }
  if (expects_continue(head.headers)) {
    CO_TRY(co_await client.stream->write("HTTP/1.1 100 Continue\r\n\r\n",
                                         gate.loop.in(kBodyPieceMost)));
  }
  body.reserve(head.framing.length);
  wire::BodyReader reader(head.framing);
  while (!reader.done()) {
    if (client.inbox.waiting().empty()) {
      if (!CO_TRY(co_await client.inbox.fill(gate.loop.in(kBodyPieceMost)))) {
        CO_TRY(reader.finish());
        break;
      }
    }
    const wire::BodyPiece piece = CO_TRY(reader.feed(client.inbox.waiting()));
    if (body.size() + piece.payload.size() > kBodyMost) {
      co_return failure(Error::kTooLarge, fmt::format("a body of more than {} bytes", kBodyMost));
    }
    body.append(piece.payload);
    client.inbox.take(piece.consumed);
  }
  client.body_unread = false;
  co_return body;
}

Result<Call> llm_call(const std::string& body) {
  auto request = TRY(wire::OpenAiRequest::parse(body));
  LlmCall call;
  call.model = std::move(request.model);
  call.stream = request.stream;
  call.asks_for_usage = request.include_usage;
  call.input_bytes = body.size();
  call.provider_tools = std::move(request.provider_tools);
  call.new_messages = std::move(request.new_messages);
  return call;
}

Result<Call> tool_call(const std::string& body) {
  const auto message = TRY(wire::JsonRpcMessage::parse(body));
  ToolCall call;
  call.method = message.method;
  call.id_json = message.id;
  if (message.kind == wire::JsonRpcMessage::Kind::kRequest && message.method == "tools/call") {
    auto tool = TRY(wire::McpToolCall::of(message));
    call.tool = std::move(tool.name);
    call.arguments = tool.arguments;
    call.traceparent = std::move(tool.traceparent);
  }
  return call;
}

}  // namespace

Task<Result<Interpreted>> interpret(Identified who) {
  Interpreted what(std::move(who));
  what.rulebook = what.gate->rulebook;
  if (!what.rulebook) {
    co_return failure(Error::kUnavailable, "no rules are in force yet; try again in a moment");
  }
  const std::string& tenant = what.door->run.tenant;
  what.service = what.rulebook->service_at(tenant, what.request.host.text(), what.request.port);
  if (what.service == nullptr || what.request.head.method != "POST") co_return what;
  const bool llm =
      what.service->kind == ipc::ServiceKind::kOpenAi && what.path.ends_with("/chat/completions");
  const bool mcp = what.service->kind == ipc::ServiceKind::kMcp;
  if (!llm && !mcp) co_return what;
  if (what.request.head.headers.find("content-encoding")) {
    co_return failure(Error::kUnsupported,
                      "a compressed request body cannot be ruled on; send it plain");
  }
  what.body = CO_TRY(co_await read_body(*what.gate, *what.client, what.request.head));
  what.call = CO_TRY(llm ? llm_call(*what.body) : tool_call(*what.body));
  co_return what;
}

}  // namespace gatehouse::gateway
