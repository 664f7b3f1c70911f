// SPDX-License-Identifier: Apache-2.0
#include "gateway/connection.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "gateway/attach.h"
#include "gateway/exchange.h"
#include "gateway/http1_caller.h"
#include "gateway/http2_connection.h"
#include "gateway/record.h"
#include "gateway/refusal.h"
#include "gateway/tunnel.h"
#include "wire/http2.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr Nanos kIdleMost = std::chrono::seconds(75);  // between two requests
constexpr Nanos kHeadMost = std::chrono::seconds(20);  // from a head's first byte to its last

// A connection whose run token is over ends between two requests: its client makes another.
Nanos idle_most(net::Loop& loop, const Client& client) {
  if (!client.admission) return kIdleMost;
  const Nanos left =
      std::chrono::seconds(client.admission->until_unix_s) - Nanos(loop.wall().unix_nanos());
  return std::clamp(left, Nanos(0), Nanos(kIdleMost));
}

// What a connection does but once, or between two requests, has a frame of its own: inlined, it
// would be a part of the connection's, for as long as an answer streams.

// Reads one head; nothing when the client ended in order between two requests.
[[gnu::noinline]] Task<Result<std::optional<wire::RequestHead>>> read_head(net::Loop& loop,
                                                                           Client& client) {
  wire::RequestParser parser;
  Deadline deadline = loop.in(idle_most(loop, client));
  while (true) {
    if (!client.inbox.waiting().empty()) {
      const wire::HeadProgress progress = CO_TRY(parser.feed(client.inbox.waiting()));
      client.inbox.take(progress.consumed);
      if (progress.done) co_return parser.take();
    }
    const bool untouched = parser.untouched();
    if (!untouched && deadline.at() > loop.now() + kHeadMost) deadline = loop.in(kHeadMost);
    const Result<bool> more = co_await client.inbox.fill(deadline);
    if (!more && untouched) co_return std::nullopt;
    if (!more && more.error() == Error::kTimeout) {
      co_return failure(Error::kTooSlow, "the request's head did not come within 20 s");
    }
    if (!more) co_return Failure(more.error());
    if (!*more && untouched) co_return std::nullopt;
    if (!*more) co_return failure(Error::kInvalid, "the request broke off in its head");
  }
}

// What cannot be read as a request, told in the dialect of the Service that the connection leads
// to, where that is known.
[[gnu::noinline]] Task<void> refuse(Gate& gate, Client& client, const Door& door,
                                    const Place& place, Error error) {
  const ipc::ServiceKind dialect = record_malformed(gate, door, place, error);
  const Refusal refusal{std::move(error), dialect, "", "", door.headers(), true};
  (void)co_await client.stream->write(response_of(refusal), gate.loop.in(kClientTakesMost));
  (void)co_await client.stream->finish(gate.loop.in(kClientTakesMost));
}

// How a connection begins: HTTP/2 with prior knowledge (RFC 9113 section 3.3), or not at all.
enum class Beginning : std::uint8_t { kHttp1, kHttp2, kNone };

// What was read stays in the inbox.
[[gnu::noinline]] Task<Beginning> beginning(net::Loop& loop, Client& client) {
  const auto waiting = [&client] { return client.inbox.waiting(); };
  if (waiting().empty()
      && !(co_await client.inbox.fill(loop.in(idle_most(loop, client)))).value_or(false)) {
    co_return Beginning::kNone;
  }
  const Deadline deadline = loop.in(kHeadMost);
  while (waiting().size() < wire::kHttp2Preface.size()
         && wire::kHttp2Preface.starts_with(waiting())) {
    if (!(co_await client.inbox.fill(deadline)).value_or(false)) break;
  }
  co_return waiting().starts_with(wire::kHttp2Preface) ? Beginning::kHttp2 : Beginning::kHttp1;
}

}  // namespace

Result<Decoded> decode(const Door& door, const Place& place, wire::RequestHead head) {
  if (head.form == wire::TargetForm::kAsterisk) {
    return failure(Error::kUnsupported,
                   "OPTIONS * is for the gateway itself, which has nothing to say");
  }
  if (!head.authority) return failure(Error::kInvalid, "an HTTP/1.0 request without Host");
  const bool tls = place.tls || head.scheme == wire::Scheme::kHttps;
  if (head.scheme == wire::Scheme::kHttps && !place.tls) {
    return failure(Error::kInvalid, "an https URL cannot be asked for in the clear; use CONNECT");
  }
  const wire::Scheme scheme = tls ? wire::Scheme::kHttps : wire::Scheme::kHttp;
  Decoded decoded{std::move(head), {}, 0, tls};
  decoded.host = decoded.head.authority->host;
  decoded.port = decoded.head.authority->port_or(scheme);
  if (place.host) {
    if (decoded.host != *place.host) {
      return failure(Error::kInvalid, fmt::format("the request names {} on a connection to {}",
                                                  decoded.host.text(), place.host->text()));
    }
    decoded.port = place.port;
  } else if (place.address) {
    if (!door.names.stands_for(*place.address, decoded.host.text())) {
      return failure(Error::kInvalid,
                     fmt::format("the request names {} on a connection to {}, which was not given "
                                 "for that name",
                                 decoded.host.text(), place.address->text()));
    }
    decoded.port = place.port;
  } else if (place.entrance == Entrance::kProxy && decoded.head.form == wire::TargetForm::kOrigin) {
    return failure(
        Error::kInvalid,
        "this is a proxy: give the whole URL (http_proxy does), or use CONNECT for https");
  }
  return decoded;
}

ipc::ServiceKind record_malformed(Gate& gate, const Door& door, const Place& place,
                                  const Error& error) {
  ++gate.counters.malformed;
  gate.counters.refuse(error.code());
  record_refusal(gate, door, "HTTP",
                 place.host      ? place.host->text()
                 : place.address ? place.address->text()
                                 : "",
                 {Ruling::Effect::kDeny, "malformed", error.message()}, row_of(error.code()).label);
  const ipc::ServiceSpec* service =
      place.host && gate.rulebook
          ? gate.rulebook->service_at(door.run.tenant, place.host->text(), place.port)
          : nullptr;
  return service == nullptr ? ipc::ServiceKind::kHttp : service->kind;
}

namespace {

// What comes next on a connection: a request, or that it becomes a way to somewhere (CONNECT). None
// of both: nothing comes that can be served.
struct Next {
  std::unique_ptr<Decoded> request;
  std::unique_ptr<wire::RequestHead> connect;
};

[[gnu::noinline]] Task<Next> next_request(Gate& gate, Door& door, Client& client,
                                          const Place& place) {
  auto head = co_await read_head(gate.loop, client);
  if (!head) {
    co_await refuse(gate, client, door, place, head.error());
    co_return Next{};
  }
  if (!*head) co_return Next{};
  if (client.admission) {
    const auto admitted = admitted_again(gate, door, client, **head);
    if (!admitted) {
      co_await refuse_token(gate, client, &door, admitted.error());
      co_return Next{};
    }
  }
  if ((*head)->form == wire::TargetForm::kAuthority) {
    if (place.entrance == Entrance::kProxy && !place.host && !place.address) {
      co_return Next{.connect = std::make_unique<wire::RequestHead>(std::move(**head))};
    }
    co_await refuse(gate, client, door, place,
                    {Error::kInvalid, "CONNECT inside a connection to one host"});
    co_return Next{};
  }
  Result<Decoded> decoded = decode(door, place, std::move(**head));
  if (decoded) co_return Next{.request = std::make_unique<Decoded>(std::move(*decoded))};
  co_await refuse(gate, client, door, place, decoded.error());
  co_return Next{};
}

}  // namespace

Task<void> serve_requests(Gate& gate, Door& door, Client& client, Place place) {
  const Beginning how = co_await beginning(gate.loop, client);
  if (how == Beginning::kNone) co_return;
  if (how == Beginning::kHttp2) co_return co_await serve_http2(gate, door, client, place);
  while (true) {
    Next next = co_await next_request(gate, door, client, place);
    if (next.connect) {
      co_return co_await serve_connect(gate, door, client, std::move(*next.connect));
    }
    if (!next.request) co_return;
    Http1Caller caller(gate, door, client, next.request->head);
    co_await serve_exchange(gate, door, caller, std::move(next.request));
    if (client.mid_answer || !caller.may_carry_another()) co_return;
  }
}

Task<void> serve_connection(Gate& gate, Door& door, Listed listed, std::unique_ptr<Client> client,
                            Entrance entrance) {
  if (gate.is_killed(door.run.run)) {
    client->stream->close_with_reset();
    gate.counters.refuse(Error::kKilled);
    co_return;
  }
  client->connection = listed.id();
  if (entrance == Entrance::kProxy) {
    co_await serve_requests(gate, door, *client, {entrance, std::nullopt, std::nullopt, 0, false});
  } else {
    co_await serve_captured(gate, door, *client);
  }
}

}  // namespace gatehouse::gateway
