// SPDX-License-Identifier: Apache-2.0
#include "gateway/exchange.h"

#include <fmt/format.h>

#include "base/log.h"
#include "gateway/refusal.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr Nanos kWriteMost = std::chrono::seconds(20);
constexpr Nanos kLingerMost = std::chrono::seconds(2);

// Takes what is still on its way, so that closing does not destroy the answer before it is read
// (RFC 9112 section 9.6).
Task<void> linger(Gate& gate, Client& client) {
  const Deadline deadline = gate.loop.in(kLingerMost);
  do {
    client.inbox.take(client.inbox.waiting().size());
  } while ((co_await client.inbox.fill(deadline)).value_or(false));
}

// How a caller wants its errors, known before its request is understood.
ipc::ServiceKind dialect_of(const Gate& gate, const Door& door, const Decoded& request) {
  const ipc::ServiceSpec* service =
      gate.rulebook ? gate.rulebook->service_at(door.run.tenant, request.host.text(), request.port)
                    : nullptr;
  return service == nullptr ? ipc::ServiceKind::kHttp : service->kind;
}

// The phases up to the Lease.
Task<Result<Leased>> prepare(Gate& gate, Door& door, Client& client, Decoded request) {
  Identified who = CO_TRY(identify(gate, door, client, std::move(request)));
  Interpreted what = CO_TRY(co_await interpret(std::move(who)));
  Routed where = CO_TRY(route(std::move(what)));
  Ruled ruled = rule(std::move(where));
  Recorded recorded = CO_TRY(co_await record(std::move(ruled)));
  co_return co_await lease(std::move(recorded));
}

}  // namespace

Task<bool> serve_exchange(Gate& gate, Door& door, Client& client, Decoded request) {
  ++gate.counters.exchanges;
  client.refused_by.clear();
  client.json_rpc_id.clear();
  const ipc::ServiceKind dialect = dialect_of(gate, door, request);
  const bool to_head = request.head.method == "HEAD";
  const bool last = wire::ends_connection(request.head.version, request.head.headers);
  Result<Leased> leased = co_await prepare(gate, door, client, std::move(request));
  const Result<void> done =
      leased ? co_await relay(std::move(*leased)) : Result<void>(Failure(leased.error()));
  if (done) co_return !last && !client.body_unread;
  gate.counters.refuse(done.error().code());
  if (client.mid_answer) co_return false;  // too late to say anything: the stream is cut
  const bool close = last || client.body_unread;
  const std::string answer = response_of({done.error(), dialect, client.refused_by,
                                          client.json_rpc_id, door.headers(), close, to_head});
  const Result<void> written = co_await client.stream->write(answer, gate.loop.in(kWriteMost));
  if (close && written) (void)co_await client.stream->finish(gate.loop.in(kWriteMost));
  if (written && client.body_unread) co_await linger(gate, client);
  co_return written && !close;
}

}  // namespace gatehouse::gateway
