// SPDX-License-Identifier: Apache-2.0
#include "gateway/exchange.h"

#include <fmt/format.h>

#include "base/log.h"
#include "gateway/refusal.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr Nanos kWriteMost = std::chrono::seconds(20);

// What an error's answer needs to know of an Exchange that has not come to its end.
struct Caller {
  ipc::ServiceKind dialect = ipc::ServiceKind::kHttp;
  std::string rule;
  std::string json_rpc_id;
};

Caller caller_of(const Interpreted& what) {
  Caller caller;
  if (what.service != nullptr) caller.dialect = what.service->kind;
  if (const auto* tool = std::get_if<ToolCall>(&what.call)) caller.json_rpc_id = tool->id_json;
  return caller;
}

// How a caller wants its errors, known before its request is understood.
ipc::ServiceKind dialect_of(const Gate& gate, const Door& door, const Decoded& request) {
  const ipc::ServiceSpec* service =
      gate.rulebook ? gate.rulebook->service_at(door.run.tenant, request.host.text(), request.port)
                    : nullptr;
  return service == nullptr ? ipc::ServiceKind::kHttp : service->kind;
}

// The phases up to the Lease; each that refuses leaves in `caller` how to say so.
Task<Result<Leased>> prepare(Gate& gate, Door& door, Client& client, Decoded request,
                             Caller& caller) {
  caller.dialect = dialect_of(gate, door, request);
  Identified who = CO_TRY(identify(gate, door, client, std::move(request)));
  Interpreted what = CO_TRY(co_await interpret(std::move(who)));
  caller = caller_of(what);
  Routed where = CO_TRY(route(std::move(what)));
  Ruled ruled = rule(std::move(where));
  caller.rule = ruled.ruling.rule;
  Recorded recorded = CO_TRY(co_await record(std::move(ruled)));
  co_return co_await lease(std::move(recorded));
}

}  // namespace

Task<bool> serve_exchange(Gate& gate, Door& door, Client& client, Decoded request) {
  ++gate.counters.exchanges;
  const bool last = wire::ends_connection(request.head.version, request.head.headers);
  Caller caller;
  Result<Leased> leased = co_await prepare(gate, door, client, std::move(request), caller);
  const Result<void> done =
      leased ? co_await relay(std::move(*leased)) : Result<void>(Failure(leased.error()));
  if (done) co_return !last && !client.body_unread;
  ++gate.counters.refused;
  if (client.mid_answer) co_return false;  // too late to say anything: the stream is cut
  const bool close = last || client.body_unread;
  const std::string answer =
      response_of({done.error(), caller.dialect, caller.rule, caller.json_rpc_id,
                   fmt::format("x-gatehouse-run: {}\r\nx-gatehouse-trace: {}\r\n",
                               door.run.run.text(), door.run.trace.text()),
                   close});
  const Result<void> written = co_await client.stream->write(answer, gate.loop.in(kWriteMost));
  if (close && written) (void)co_await client.stream->finish(gate.loop.in(kWriteMost));
  co_return written && !close;
}

}  // namespace gatehouse::gateway
