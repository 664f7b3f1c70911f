// SPDX-License-Identifier: Apache-2.0
#include "gateway/exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/find.h"
#include "base/log.h"
#include "gateway/body_buffers.h"
#include "gateway/record.h"
#include "gateway/refusal.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

// How a caller wants its errors, known before its request is understood.
ipc::ServiceKind dialect_of(const Gate& gate, const Door& door, const Decoded& request) {
  const ipc::ServiceSpec* service =
      gate.rulebook ? gate.rulebook->service_at(door.run.tenant, request.host.text(), request.port)
                    : nullptr;
  return service == nullptr ? ipc::ServiceKind::kHttp : service->kind;
}

// A Service that has as many exchanges as it may gets no more: another target of a model route is
// asked, or the agent comes again.
Result<void> take_place(Recorded& recorded) {
  Exchange& of = *recorded;
  while (!take_place(of, of.aim)) {
    if (of.model_route != nullptr) note_attempt(of, of.aim, "busy");
    auto next = of.model_route == nullptr ? std::nullopt : next_aim(of);
    if (next) {
      of.aim = *std::move(next);
      continue;
    }
    ++of.gate->counters.busy;
    of.caller->refused_by = "concurrency";
    Error busy(
        Error::kUnavailable,
        fmt::format("service {} is busy: it has {} exchanges at a time; try again in a moment",
                    of.aim.service->name, of.aim.service->concurrency));
    recorded.intent().fail(busy);
    return Failure(std::move(busy));
  }
  return {};
}

void tell(Unrecorded& unrecorded, const Decoded& request, std::string_view path) {
  unrecorded.method = request.head.method;
  unrecorded.host = request.host.text();
  unrecorded.path = path;
}

// The phases up to the Lease.
Task<Result<Leased>> prepare_phases(Gate& gate, Door& door, Caller& caller,
                                    std::unique_ptr<Decoded> request, Unrecorded* unrecorded) {
  Result<Identified> known = identify(gate, door, caller, *request);
  if (!known) {
    const std::string_view whole = request->head.path_and_query();
    tell(*unrecorded, *request, whole.substr(0, whole.find('?')));
    co_return Failure(known.error());
  }
  request.reset();
  Identified who = *std::move(known);
  who->unrecorded = unrecorded;
  Interpreted what = CO_TRY(co_await interpret(std::move(who)));
  what->timing.request = gate.loop.now() - what->began;
  Routed where = CO_TRY(route(std::move(what)));
  Ruled ruled = CO_TRY(rule(std::move(where)));
  Recorded recorded = CO_TRY(co_await record(std::move(ruled)));
  CO_TRY(take_place(recorded));
  const Instant asked = gate.loop.now();
  Leased leased = CO_TRY(co_await lease(std::move(recorded)));
  leased->timing.lease = gate.loop.now() - asked;
  co_return leased;
}

// All of them, and on record what they refused before it was. Inlined, the frame of this would be a
// part of the caller's, for as long as the answer streams.
[[gnu::noinline]] Task<Result<Leased>> prepare(Gate& gate, Door& door, Caller& caller,
                                               std::unique_ptr<Decoded> request) {
  Unrecorded unrecorded;
  Result<Leased> leased =
      co_await prepare_phases(gate, door, caller, std::move(request), &unrecorded);
  if (!leased && !unrecorded.method.empty()) {
    record_unread(gate, door, unrecorded, caller.refused_by, leased.error());
  }
  co_return leased;
}

// What refused it, told in the caller's dialect. A frame of its own, for the same reason.
[[gnu::noinline]] Task<void> refuse(Door& door, Caller& caller, ipc::ServiceKind dialect,
                                    Error error) {
  if (caller.is_mid_answer()) co_return;  // too late to say anything: the stream is cut
  Refusal refusal{std::move(error), dialect, caller.refused_by, caller.json_rpc_id, door.headers()};
  refusal.retry_after_s = caller.retry_after_s;
  co_await caller.refuse(std::move(refusal));
}

}  // namespace

Exchange::~Exchange() {
  if (body) BodyBuffers::give(*std::move(body));
  if (unrecorded == nullptr) return;
  tell(*unrecorded, request, path);
  unrecorded->exchange = exchange;
  unrecorded->span = span;
}

const ipc::Placeholder* Exchange::placeholder_in_body() const {
  if (!body) return nullptr;
  if (found_in_body) return *found_in_body;
  found_in_body = nullptr;
  for (const ipc::Placeholder& placeholder : door->placeholders) {
    // One that is new may begin in what is known.
    const std::size_t overlap = std::max(placeholder.text.size(), std::size_t{1}) - 1;
    const std::string_view unknown =
        readable_body().substr(known.prefix - std::min(known.prefix, overlap));
    if (is_in(unknown, placeholder.text)) found_in_body = &placeholder;
    if (*found_in_body != nullptr) break;
  }
  return *found_in_body;
}

void Exchange::edit_body() {
  if (!edit) return;
  const wire::TextEdit change = *std::exchange(edit, std::nullopt);
  if (!decoded) {
    body->replace(change.at, change.size, change.by);  // in its place, where there is room
    return;
  }
  body = wire::edited(*std::exchange(decoded, std::nullopt), change);
  request.head.headers.remove("content-encoding");
}

// A string that is assigned an empty one keeps its room: what is kept changes places with all of
// it.
void Exchange::drop_request() {
  Decoded no_request;
  std::swap(request, no_request);
  std::string().swap(begun);
  if (body) BodyBuffers::give(*std::move(body));
  body.reset();
  decoded.reset();
  edit.reset();
  std::vector<KnownPart>().swap(known.parts);
  kept.give_back();
  lent_.value = {};
  Aim aimed;
  std::swap(aim, aimed);
  aim.service = aimed.service;
  aim.destination.host = std::move(aimed.destination.host);
  aim.is_target = aimed.is_target;
  aim.index = aimed.index;
  aim.call = std::move(aimed.call);
  aim.translated = aimed.translated;
  aim.wants_usage = aimed.wants_usage;
  for (Call* each : {&call, aim.call.get()}) {
    auto* llm = each == nullptr ? nullptr : std::get_if<LlmCall>(each);
    if (llm == nullptr) continue;
    wire::LlmRequest asked;
    std::swap(llm->request, asked);
    llm->request.model = std::move(asked.model);
    llm->request.stream = asked.stream;
  }
}

Task<void> serve_exchange(Gate& gate, Door& door, Caller& caller,
                          std::unique_ptr<Decoded> request) {
  ++gate.counters.exchanges;
  const Live live(gate.counters.live_exchanges);
  const Instant began = gate.loop.now();
  const ipc::ServiceKind dialect = dialect_of(gate, door, *request);
  Result<Leased> leased = co_await prepare(gate, door, caller, std::move(request));
  const Result<void> done =
      leased ? co_await relay(std::move(*leased)) : Result<void>(Failure(leased.error()));
  gate.counters.exchange_time.observe(gate.loop.now() - began);
  if (done) co_return;
  gate.counters.refuse(done.error().code());
  co_await refuse(door, caller, dialect, done.error());
}

}  // namespace gatehouse::gateway
