// SPDX-License-Identifier: Apache-2.0
#include "gateway/record.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "audit/read_again.h"
#include "base/log.h"
#include "gateway/exchange.h"
#include "gateway/request_body.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr Nanos kAppendMost = 250ms;
constexpr std::size_t kTagsUsual = 24;  // of an Exchange, those of its end among them

audit::Entry entry_of(const Door& door, audit::Kind kind) {
  audit::Entry entry;
  entry.kind = kind;
  entry.tags.reserve(kTagsUsual);
  entry.tenant = door.run.tenant;
  entry.run = door.run.run;
  entry.trace = door.run.trace;
  entry.add("agent", door.run.agent);
  return entry;
}

// Whom it is sent to: "https://api.example.com:443".
std::string origin_of(const Destination& to) {
  std::string origin(to.tls ? "https://" : "http://");
  return origin.append(to.host).append(":").append(std::to_string(to.port));
}

// The rest of MCP's transport (its GET stream, DELETE of the session) is MCP too, and so is what an
// agent's service is asked that A2A does not have.
std::string_view call_name(const Ruled& ruled) {
  const auto kind = ruled->service == nullptr ? ipc::ServiceKind::kHttp : ruled->service->kind;
  if (kind == ipc::ServiceKind::kMcp) return "mcp";
  if (kind == ipc::ServiceKind::kA2a) return "a2a";
  if (std::holds_alternative<LlmCall>(ruled->call)) return "llm";
  return ruled->websocket ? "websocket" : "http";
}

void tell_agent_call(audit::Entry& entry, const wire::A2aCall& request) {
  const auto add = [&](std::string_view key, std::string_view value, std::size_t most) {
    if (!value.empty()) entry.add(key, value.substr(0, most));
  };
  add("a2a.operation", request.name(), 256);
  add("a2a.method", request.method, 256);
  entry.add("a2a.version", name_of(request.version));
  if (wire::changes_something(request.operation)) entry.add("a2a.effect", "true");
  add("a2a.task", request.task, 256);
  add("a2a.context", request.context, 256);
  if (request.gives_webhook)
    entry.add("a2a.webhook", std::string_view(request.webhook).substr(0, 1024));
}

audit::Entry entry_of(const Ruled& ruled, audit::Kind kind) {
  audit::Entry entry = entry_of(*ruled->door, kind);
  entry.span = ruled->span;
  entry.linked_trace = ruled->linked_trace.substr(0, 128);
  entry.exchange = ruled->exchange;
  entry.add("call", call_name(ruled));
  entry.add("method", ruled->request.head.method);
  entry.add("host", ruled->request.host.text());
  entry.add("path", std::string_view(ruled->path).substr(0, kPathMost));
  if (ruled->service != nullptr) entry.add("service", ruled->service->name);
  if (!ruled->aim.destination.host.empty())
    entry.add("upstream", origin_of(ruled->aim.destination));
  if (ruled->parent) entry.add("parent", ruled->parent->text());
  if (ruled->socket) entry.add("websocket", ruled->socket->text());
  if (is_governed_socket(*ruled)) entry.add("websocket.read", "true");
  entry.add("ruling", ruled->ruling.allowed() ? "allow" : "deny");
  entry.add("rule", ruled->ruling.rule);
  if (ruled->model_route != nullptr) {
    entry.add("route", ruled->model_route->name);
    if (ruled->aim.is_target) entry.add("route.target", name_of(*ruled, ruled->aim));
  }
  if (const auto& endpoint = ruled->endpoint; endpoint && call_name(ruled) == "http") {
    entry.add("llm.endpoint", endpoint->name);
  }
  if (const auto* llm = std::get_if<LlmCall>(&ruled->call)) {
    entry.add("llm.operation", name_of(llm->endpoint.operation));
    if (const auto provider = provider_of(ruled->service->kind)) {
      entry.add("llm.provider", name_of(*provider));
    }
    entry.add("llm.model", std::string_view(llm->request.model).substr(0, 256));
    entry.add("llm.stream", llm->request.stream ? "true" : "false");
    const auto& sent = std::get<LlmCall>(ruled->sent_call()).request;
    if (!sent.provider_tools.empty()) {
      const std::string tools = fmt::format("{}", fmt::join(sent.provider_tools, " "));
      entry.add("llm.provider_tools", std::string_view(tools).substr(0, 1024));
    }
  }
  if (const auto* tool = std::get_if<ToolCall>(&ruled->call)) {
    entry.add("mcp.method", std::string_view(tool->method).substr(0, 256));
    if (!tool->tool.empty()) entry.add("tool", std::string_view(tool->tool).substr(0, 256));
  }
  if (const auto* agent = std::get_if<AgentCall>(&ruled->call)) {
    tell_agent_call(entry, agent->request);
  }
  return entry;
}

// Section 4 of docs/architecture.md: what must be on disk before the first byte goes upstream.
bool must_be_durable_first(const Ruled& ruled) {
  if (ruled->websocket && std::holds_alternative<HttpCall>(ruled->call)) return true;
  if (const auto* tool = std::get_if<ToolCall>(&ruled->call)) return tool->method == "tools/call";
  if (const auto* agent = std::get_if<AgentCall>(&ruled->call)) {
    return wire::changes_something(agent->request.operation);
  }
  // A plain one is durable before its answer's first byte.
  if (const auto* llm = std::get_if<LlmCall>(&ruled->sent_call())) {
    return !llm->request.provider_tools.empty();
  }
  const std::string& method = ruled->request.head.method;
  if (method != "GET" && method != "HEAD") return true;
  return ruled->service != nullptr && Rulebook::wants_intent(*ruled->service, ruled->path);
}

// Whether who reads the record finds it in the request's body.
bool request_says_what_is_new(const Ruled& ruled, const LlmCall& call) {
  return ruled->body && !ruled->decoded && !ruled->socket && ruled->path.size() <= kPathMost
         && call.request.is_new_alone;
}

// The guard is there while this waits: an Exchange that is cancelled now has an end on record too.
Task<Result<void>> made_durable(Intent& intent, Deadline deadline) {
  const Result<void> done = co_await intent.recorder().wait_durable(intent.position(), deadline);
  if (!done) intent.fail(done.error());
  co_return done;
}

}  // namespace

void record_misuse(Gate& gate, const Door& door, std::string_view method, std::string_view target,
                   const ipc::Placeholder& placeholder) {
  ++gate.counters.alarms;
  log_warning("alarm: a placeholder on its way to another host",
              {{"method", method},
               {"target", target.substr(0, 256)},
               {"run", door.run.run.text()},
               {"trace", door.run.trace.text()}});
  audit::Entry entry = entry_of(door, audit::Kind::kAlarm);
  entry.add("method", method);
  entry.add("host", target.substr(0, 1024));
  entry.add("ruling", "deny");
  entry.add("rule", kPlaceholderBinding);
  entry.add("alarm", "placeholder-misused");
  entry.add("placeholder.service", placeholder.service);
  gate.recorder.append_now(std::move(entry));
}

void record_refusal(Gate& gate, const Door& door, std::string_view method, std::string_view target,
                    const Ruling& ruling, std::string_view error) {
  log_warning("refused", {{"method", method},
                          {"target", target.substr(0, 256)},
                          {"rule", ruling.rule},
                          {"run", door.run.run.text()},
                          {"trace", door.run.trace.text()}});
  audit::Entry entry = entry_of(door, audit::Kind::kRefused);
  entry.add("method", method);
  entry.add("host", target.substr(0, 1024));
  entry.add("ruling", "deny");
  entry.add("rule", ruling.rule);
  entry.add("reason", std::string_view(ruling.reason).substr(0, 1024));
  if (!error.empty()) entry.add("error", error);
  gate.recorder.append_now(std::move(entry));
}

void record_unread(Gate& gate, const Door& door, const Unrecorded& exchange, std::string_view rule,
                   const Error& why) {
  if (!gate.recorder.is_read()) return;
  const std::string_view label = row_of(why.code()).label;
  audit::Entry entry = entry_of(door, audit::Kind::kRefused);
  entry.exchange = exchange.exchange.value_or(ExchangeId::fresh());
  entry.span = exchange.exchange ? exchange.span : SpanId::fresh();
  entry.add("method", exchange.method);
  entry.add("host", std::string_view(exchange.host).substr(0, 256));
  entry.add("path", std::string_view(exchange.path).substr(0, kPathMost));
  entry.add("ruling", "deny");
  entry.add("rule", rule.empty() ? label : rule);
  entry.add("error", label);
  entry.add("reason", std::string_view(why.message()).substr(0, 1024));
  gate.recorder.append_now(std::move(entry));
}

Task<Result<Intent>> open_tunnel_intent(Gate& gate, const Door& door, const wire::Host& host,
                                        std::uint16_t port, const Ruling& ruling) {
  audit::Entry entry = entry_of(door, audit::Kind::kIntent);
  entry.exchange = ExchangeId::fresh();
  entry.span = SpanId::fresh();
  entry.add("call", "tunnel");
  entry.add("method", "CONNECT");
  entry.add("host", fmt::format("{}:{}", host.text(), port));
  entry.add("rule", ruling.rule);
  entry.add("inspected", "false");
  const Deadline deadline = gate.loop.in(kAppendMost);
  const Recorder::Position position = CO_TRY(co_await gate.recorder.append(entry, deadline));
  Intent intent(gate.recorder, std::move(entry), position, gate.loop.now(), gate.loop);
  CO_TRY(co_await made_durable(intent, deadline));
  co_return intent;
}

Task<Result<Recorded>> record(Ruled ruled) {
  Gate& gate = *ruled->gate;
  if (!gate.recorder.is_read()) {
    co_return failure(Error::kAuditUnavailable,
                      "the audit log is away, so nothing passes; try again");
  }
  if (!ruled->ruling.allowed()) {
    const ipc::Placeholder* carried = carried_placeholder(ruled);
    audit::Entry entry =
        entry_of(ruled, carried != nullptr ? audit::Kind::kAlarm : audit::Kind::kRefused);
    entry.add("reason", std::string_view(ruled->ruling.reason).substr(0, 1024));
    if (carried != nullptr) {
      ++gate.counters.alarms;
      entry.add("alarm", "placeholder-misused");
      entry.add("placeholder.service", carried->service);
    }
    log_warning(carried != nullptr ? "alarm: a placeholder on its way to another host" : "refused",
                {{"method", ruled->request.head.method},
                 {"host", ruled->request.host.text()},
                 {"path", std::string_view(ruled->path).substr(0, 256)},
                 {"rule", ruled->ruling.rule},
                 {"run", ruled->door->run.run.text()},
                 {"trace", ruled->door->run.trace.text()}});
    gate.recorder.append_now(std::move(entry));
    ruled->unrecorded = nullptr;
    ruled->caller->refused_by = ruled->ruling.rule;
    co_return failure(Error::kDenied, ruled->ruling.reason);
  }
  audit::Entry entry = entry_of(ruled, audit::Kind::kIntent);
  const Deadline deadline = gate.loop.in(kAppendMost);
  StoredRequest request;
  if (ruled->body && !ruled->body->empty()) {
    request = CO_TRY(co_await store_request(*ruled, deadline));
    entry.bodies.push_back(request.about);
  }
  if (const auto* llm = std::get_if<LlmCall>(&ruled->call);
      llm != nullptr && !llm->request.new_messages.empty()) {
    if (request_says_what_is_new(ruled, *llm)) {
      entry.add(audit::kInputIn, "request");
    } else {
      const std::string input = wire::json_of(llm->request.new_messages);
      entry.bodies.push_back(CO_TRY(co_await gate.recorder.store("llm.input", input, deadline)));
    }
  }
  if (const auto* tool = std::get_if<ToolCall>(&ruled->call);
      tool != nullptr && !tool->tool.empty()) {
    entry.bodies.push_back(
        CO_TRY(co_await gate.recorder.store("tool.arguments", tool->arguments, deadline)));
  }
  if (const auto* agent = std::get_if<AgentCall>(&ruled->call);
      agent != nullptr && !agent->request.text.empty()) {
    entry.bodies.push_back(
        CO_TRY(co_await gate.recorder.store("a2a.said", agent->request.text, deadline)));
  }
  const Recorder::Position position = CO_TRY(co_await gate.recorder.append(entry, deadline));
  ruled->unrecorded = nullptr;
  Intent intent(gate.recorder, std::move(entry), position, ruled->began, gate.loop);
  if (!request.parts.empty() && ruled->placeholder_in_body() == nullptr) {
    gate.conversations.keep(ruled->speaker(), ruled->known, *ruled->body, std::move(request.parts));
  }
  if (must_be_durable_first(ruled)) CO_TRY(co_await made_durable(intent, deadline));
  co_return Recorded(std::move(ruled), std::move(intent));
}

}  // namespace gatehouse::gateway
