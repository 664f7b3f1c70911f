// SPDX-License-Identifier: Apache-2.0
// INTERPRET: what the request means. The body is read whole where the meaning is in it (LLM, MCP
// and A2A).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "gateway/body_buffers.h"
#include "gateway/exchange.h"
#include "wire/content_coding.h"
#include "wire/form.h"
#include "wire/jsonrpc.h"
#include "wire/mcp.h"
#include "wire/trace.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr std::size_t kBodyMost = 16 * 1024 * 1024;  // of a body that is read whole
// Of a body, so many bytes and more are read straight to their place; at a time at most so many.
constexpr std::uint64_t kPlainLeast = 4096;
constexpr std::uint64_t kPlainMost = 1024 * 1024;
constexpr Nanos kBodyPieceMost = std::chrono::seconds(30);  // between two pieces of it
// However its pieces come: from then on so many bytes of it in a second, on average.
constexpr Nanos kBodyGrace = std::chrono::seconds(30);
constexpr std::size_t kBodyRateLeast = 16 * 1024;

constexpr std::size_t kSmallMost = 64 * 1024;  // a body so long is read before anyone is dialled
constexpr Nanos kPatience = 200ms;             // ... unless it comes slower than this

bool expects_continue(const wire::Headers& headers) {
  const auto expect = headers.find("expect");
  return expect && wire::equal_ignoring_case(*expect, "100-continue");
}

// Why nothing more came of a body.
Failure body_broken(const Error& error) {
  if (error == Error::kTimeout) {
    return failure(Error::kTooSlow, "the request's body did not come in time");
  }
  if (error == Error::kUpstream || error == Error::kClosed) {
    return failure(Error::kInvalid, "the request's body broke off before its end");
  }
  return Failure(error);
}

// The next piece of the body: nothing of it when none came within `most`.
Task<Result<Piece>> next_piece(Gate& gate, MessageIn& from, Nanos most) {
  const Piece here = CO_TRY(from.piece());
  if (!here.is_nothing()) co_return here;
  if (!CO_TRY(co_await from.more(gate.loop.in(most)))) {
    co_return failure(Error::kClosed, "the request's body broke off");
  }
  co_return from.piece();
}

// As much of the body as comes next, behind what is here of it.
Task<Result<void>> read_some(Gate& gate, MessageIn& from, std::string& body, Nanos most) {
  const std::uint64_t plain = from.plain();
  if (plain < kPlainLeast) {
    const Piece piece = CO_TRY(co_await next_piece(gate, from, most));
    body.append(piece.payload);
    co_return Result<void>();
  }
  const std::size_t before = body.size();
  const std::size_t room = std::min(plain, std::uint64_t{kPlainMost});
  // Not zeroed first: what is read is overwritten, and the rest is cut off again.
  body.resize_and_overwrite(before + room, [](char*, std::size_t size) { return size; });
  const Result<std::size_t> got =
      co_await from.read({body.data() + before, room}, gate.loop.in(most));
  body.resize(before + (got ? *got : 0));
  if (!got) co_return Failure(got.error());
  if (*got == 0) co_return failure(Error::kClosed, "the request's body broke off");
  co_return Result<void>();
}

Failure no_room() {
  return failure(Error::kExhausted,
                 "the requests under way take all the memory that the gateway has for bodies; try "
                 "again");
}

// Until when more must have come of a body of which so many bytes have.
Instant slowest(Instant began, std::size_t bytes) {
  return began + kBodyGrace + std::chrono::milliseconds(bytes * 1000 / kBodyRateLeast);
}

Task<Result<std::string>> read_body(Gate& gate, Caller& caller, const wire::RequestHead& head,
                                    Room::Share& kept) {
  if (head.framing.length > kBodyMost) {
    co_return failure(Error::kTooLarge, fmt::format("a body of {} bytes; {} is the most here",
                                                    head.framing.length, kBodyMost));
  }
  MessageIn& from = caller.request();
  if (!from.is_done() && expects_continue(head.headers)) {
    CO_TRY(co_await caller.send_continue(gate.loop.in(kBodyPieceMost)));
  }
  std::string body =
      BodyBuffers::take(std::min(head.framing.length, std::uint64_t{BodyBuffers::kMost}));
  const Instant began = gate.loop.now();
  while (!from.is_done()) {
    const Nanos left = slowest(began, body.size()) - gate.loop.now();
    const std::size_t before = body.size();
    const Result<void> read = co_await read_some(gate, from, body, std::min(left, kBodyPieceMost));
    if (!read) co_return body_broken(read.error());
    if (body.size() > kBodyMost) {
      co_return failure(Error::kTooLarge, fmt::format("a body of more than {} bytes", kBodyMost));
    }
    if (!kept.grow(body.size() - before)) co_return no_room();
  }
  co_return body;
}

// The beginning of a body that need not be understood: what is small is whole before anyone is
// dialled, so that nobody is for one that is malformed or breaks off.
Task<Result<std::string>> begin_body(Gate& gate, Caller& caller, const wire::RequestHead& head) {
  std::string begun;
  MessageIn& from = caller.request();
  if (expects_continue(head.headers)) {
    CO_TRY(co_await caller.send_continue(gate.loop.in(kBodyPieceMost)));
  }
  while (!from.is_done() && begun.size() < kSmallMost) {
    const Result<Piece> piece = co_await next_piece(gate, from, kPatience);
    if (!piece && piece.error() == Error::kTimeout) break;
    if (!piece) co_return body_broken(piece.error());
    begun.append(piece->payload);
  }
  co_return begun;
}

// What a body says that came in a content coding.
Result<std::optional<std::string>> decoded_body(const wire::RequestHead& head,
                                                std::string_view body, Room::Share& kept) {
  const auto coding = TRY(wire::content_coding_of(head.headers));
  if (coding == wire::ContentCoding::kIdentity) return std::nullopt;
  std::string decoded = TRY(wire::decoded_content(coding, body, {.size_most = kBodyMost}));
  if (!kept.grow(decoded.size())) return no_room();
  return decoded;
}

// What the body repeats of what the Run has said before.
wire::KnownJson known_messages(Exchange& what) {
  wire::KnownJson known;
  if (what.decoded) return known;
  what.known = what.gate->conversations.find(what.speaker(), *what.body);
  for (const KnownPart& part : what.known.parts) {
    if (part.is_message) known.add(std::string_view(*what.body).substr(part.at, part.size));
  }
  return known;
}

// OpenAI's images, audio and moderations. A form that is not here as a whole passes with its model
// unknown, but for the one that the path names.
Result<void> read_media_call(Exchange& what) {
  const wire::LlmEndpoint& endpoint = *what.endpoint;
  if (what.request.head.headers.count("content-type") > 1) {
    // Another boundary makes another form of the same bytes.
    return failure(Error::kInvalid, "the header content-type came more than once");
  }
  LlmCall call{endpoint, {.model = endpoint.model}, 0};
  if (what.body) {
    const auto type = what.request.head.headers.find("content-type").value_or("");
    call.input_bytes = what.body->size();
    call.request = wire::is_form(type)
                       ? TRY(wire::LlmRequest::parse_form(endpoint, type, what.readable_body()))
                       : TRY(wire::LlmRequest::parse(endpoint, what.readable_body()));
  }
  what.call = std::move(call);
  return {};
}

Result<void> read_llm_call(Exchange& what) {
  if (what.endpoint->dialect == wire::LlmDialect::kOpenAiMedia) return read_media_call(what);
  const wire::KnownJson known = known_messages(what);
  LlmCall call{*what.endpoint,
               TRY(wire::LlmRequest::parse(*what.endpoint, what.readable_body(), known)),
               what.body->size()};
  // OpenAI's chat streams say what they cost only when they are asked to.
  if (what.service->asks_usage) what.edit = call.request.usage_edit;
  what.call = std::move(call);
  return {};
}

// Whether a body is a file in a form that is too long, or may be, to be read before it is sent.
bool is_long_form(const Exchange& what) {
  const wire::RequestHead& head = what.request.head;
  if (!what.endpoint || !what.endpoint->takes_forms()) return false;
  if (!wire::is_form(head.headers.find("content-type").value_or(""))) return false;
  return head.framing.kind != wire::BodyFraming::Kind::kLength || head.framing.length > kBodyMost;
}

// What of it has come is read if it is all of it.
Result<void> read_long_form(Exchange& what) {
  if (what.body) what.decoded = TRY(decoded_body(what.request.head, *what.body, what.kept));
  return read_media_call(what);
}

Result<void> read_tool_call(Exchange& what) {
  const std::string_view body = what.readable_body();
  const auto message = TRY(wire::JsonRpcMessage::parse(body));
  ToolCall call;
  call.method = message.method;
  call.id_json = message.id;
  what.caller->json_rpc_id = message.id;
  const auto params = TRY(wire::McpParams::of(message));
  if (message.kind == wire::JsonRpcMessage::Kind::kRequest && message.method == "tools/call") {
    auto tool = TRY(wire::McpToolCall::of(message, params));
    call.tool = std::move(tool.name);
    call.arguments = tool.arguments;
  }
  const wire::TraceParent span{what.door->run.trace, what.span, true};
  const std::string agents = params.traceparent();
  const auto parsed = wire::TraceParent::parse(agents);
  const bool is_continued = parsed && parsed->trace == span.trace;
  if (parsed && !is_continued && what.linked_trace.empty()) what.linked_trace = agents;
  what.edit = wire::trace_edit(body, message, params, span.text(), is_continued);
  what.call = std::move(call);
  return {};
}

Result<void> read_agent_call(Exchange& what, const wire::A2aEndpoint& endpoint) {
  if (endpoint.binding == wire::A2aEndpoint::Binding::kJsonRpc) {
    what.caller->json_rpc_id = "null";  // until it is known (JSON-RPC 2.0, section 5)
  }
  const wire::RequestHead& head = what.request.head;
  const auto version =
      TRY(wire::a2a_version(head.headers.find("a2a-version").value_or(""), what.query));
  AgentCall call{TRY(wire::A2aCall::parse(endpoint, version, what.readable_body()))};
  if (!call.request.id.empty()) what.caller->json_rpc_id = call.request.id;
  what.call = std::move(call);
  return {};
}

// What an agent's service is asked; nothing for what A2A does not have.
wire::A2aEndpoint agent_endpoint(const Exchange& what, bool has_body) {
  const wire::RequestHead& head = what.request.head;
  if (what.service == nullptr || what.service->kind != ipc::ServiceKind::kA2a) return {};
  if (what.websocket) return {};
  if (head.method != "POST" && has_body) return {};
  return wire::a2a_endpoint(head.method, what.path, head.headers.find("content-type").value_or(""));
}

constexpr std::string_view kKeyProtocol = "openai-insecure-api-key.";

// OpenAI's clients that can set no header (browsers') send the key as a subprotocol. It goes where
// all others send it; towards a Service with a credential no key of the agent's own passes in
// either place.
void move_key_out_of_protocols(Exchange& what) {
  if (what.service == nullptr || what.service->credential_header.empty()) return;
  const auto provider = provider_of(what.service->kind);
  if (provider != wire::LlmProvider::kOpenAi && provider != wire::LlmProvider::kAzureOpenAi) return;
  wire::Headers& headers = what.request.head.headers;
  std::vector<std::string>& protocols = what.websocket->protocols;
  const auto is_key = [](const std::string& protocol) {
    return protocol.starts_with(kKeyProtocol);
  };
  const auto found = std::ranges::find_if(protocols, is_key);
  if (found == protocols.end()) return;
  const std::string key = found->substr(kKeyProtocol.size());
  std::erase_if(protocols, is_key);
  headers.remove("sec-websocket-protocol");
  if (!protocols.empty()) {
    headers.add("sec-websocket-protocol", fmt::format("{}", fmt::join(protocols, ", ")));
  }
  if (headers.find(what.service->credential_header)) return;
  const auto name = wire::HeaderName::parse(what.service->credential_header);
  if (name) headers.add(*name, what.service->credential_prefix + key);
}

Result<void> read_websocket_offer(Exchange& what) {
  if (what.request.head.method == wire::kWebSocketMethod) {
    return failure(Error::kInvalid,
                   "WEBSOCKET is no method: a WebSocket is asked for by GET with Upgrade");
  }
  what.websocket = TRY(wire::websocket_offer(what.request.head));
  if (!what.websocket) return {};
  TRY(what.caller->can_switch());
  // Without extensions, so that what passes can be read.
  what.request.head.headers.remove("sec-websocket-extensions");
  move_key_out_of_protocols(what);
  return {};
}

}  // namespace

Task<Result<Interpreted>> interpret(Identified who) {
  Interpreted what(std::move(who));
  what->rulebook = what->gate->rulebook;
  if (!what->rulebook) {
    co_return failure(Error::kUnavailable, "no rules are in force yet; try again in a moment");
  }
  const std::string& tenant = what->door->run.tenant;
  what->service = what->rulebook->service_at(tenant, what->request.host.text(), what->request.port);
  CO_TRY(read_websocket_offer(*what));
  const wire::RequestHead& head = what->request.head;
  const bool has_body = head.framing.kind != wire::BodyFraming::Kind::kNone;
  const bool mcp = what->service != nullptr && what->service->kind == ipc::ServiceKind::kMcp;
  const auto provider = what->service == nullptr ? std::nullopt : provider_of(what->service->kind);
  if (provider) what->endpoint = wire::llm_endpoint(*provider, what->method(), what->path);
  const bool llm = what->endpoint && what->endpoint->has_meaning_in_body();
  const wire::A2aEndpoint agent = agent_endpoint(*what, has_body);
  const bool a2a = agent.binding != wire::A2aEndpoint::Binding::kNone;
  const bool is_long = llm && is_long_form(*what);
  if (is_long || (!a2a && (head.method != "POST" || (!llm && !mcp)))) {
    if (!has_body) co_return what;
    std::string begun = CO_TRY(co_await begin_body(*what->gate, *what->caller, head));
    if (what->caller->request().is_done()) {
      what->body = std::move(begun);
    } else {
      what->begun = std::move(begun);
    }
    if (is_long) CO_TRY(read_long_form(*what));
    co_return what;
  }
  what->body = CO_TRY(co_await read_body(*what->gate, *what->caller, head, what->kept));
  what->decoded = CO_TRY(decoded_body(head, *what->body, what->kept));
  CO_TRY(a2a ? read_agent_call(*what, agent) : llm ? read_llm_call(*what) : read_tool_call(*what));
  co_return what;
}

Result<Interpreted> interpret_message(const Exchange& socket, std::string message, LlmCall call) {
  Gate& gate = *socket.gate;
  if (gate.is_killed(socket.door->run.run)) return failure(Error::kKilled, "the run was killed");
  Interpreted what(Identified(std::make_unique<Exchange>(gate, *socket.door)));
  if (!what->kept.grow(message.size())) return no_room();
  what->caller = socket.caller;
  what->began = gate.loop.now();
  what->socket = socket.exchange;
  what->parent = socket.span;
  // Of the handshake, what rules look at: its fields were its own.
  what->request.head.method = socket.request.head.method;
  what->request.head.target = socket.request.head.target;
  what->request.host = socket.request.host;
  what->request.port = socket.request.port;
  what->request.tls = socket.request.tls;
  what->path = socket.path;
  what->rulebook = gate.rulebook;
  what->service = what->rulebook->service_at(socket.door->run.tenant, what->request.host.text(),
                                             what->request.port);
  if (what->service == nullptr || what->service->kind != socket.service->kind) {
    return failure(Error::kDenied, "the service that this WebSocket is for is no more");
  }
  what->endpoint = socket.endpoint;
  what->websocket = socket.websocket;
  what->call = std::move(call);
  what->body = std::move(message);
  return what;
}

}  // namespace gatehouse::gateway
