// SPDX-License-Identifier: Apache-2.0
#include "gateway/tunnel.h"

#include <fmt/format.h>

#include "base/log.h"
#include "gateway/exchange.h"
#include "gateway/record.h"
#include "gateway/refusal.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr Nanos kHandshakeMost = std::chrono::seconds(15);
constexpr Nanos kWriteMost = std::chrono::seconds(20);
constexpr Nanos kTunnelIdleMost = std::chrono::minutes(10);
constexpr std::string_view kEstablished = "HTTP/1.1 200 Connection established\r\n\r\n";
constexpr char kTlsHandshake =
    0x16;  // RFC 8446 section 5.1: the first byte of a ClientHello's record

// From now on `client` is a TLS stream that speaks as `host`. Errors: the handshake's, or that the
// client asked for another name than it dialled.
Task<Result<std::unique_ptr<Client>>> intercept(Gate& gate, Door& door,
                                                std::unique_ptr<net::Stream> stream,
                                                const wire::Host& host) {
  const Deadline deadline = gate.loop.in(kHandshakeMost);
  const auto server = CO_TRY(co_await gate.interceptor.server_for(door.run, host.text(), deadline));
  auto accepted = CO_TRY(co_await server->accept(gate.loop, std::move(stream), deadline));
  if (!accepted.server_name.empty() && accepted.server_name != host.text()) {
    co_return failure(Error::kDenied, fmt::format("the TLS name {} on a connection to {}",
                                                  accepted.server_name, host.text()));
  }
  co_return std::make_unique<Client>(std::move(accepted.stream));
}

const ipc::ServiceSpec* service_at(Gate& gate, const Door& door, const wire::Host& host,
                                   std::uint16_t port) {
  if (!gate.rulebook) return nullptr;
  return gate.rulebook->service_at(door.run.tenant, host.text(), port);
}

// Bytes one way until the end, the kill, or too long a silence.
Task<Result<void>> pump(Gate* gate, const Door* door, net::Stream* from, Inbox* first,
                        net::Stream* to, std::uint64_t* count) {
  std::string bytes = first != nullptr ? std::string(first->waiting()) : std::string();
  if (first != nullptr) first->take(bytes.size());
  std::uint64_t generation = 0;
  while (true) {
    if (gate->kills && gate->kills->generation() != generation) {
      generation = gate->kills->generation();
      if (gate->is_killed(door->run.run)) co_return failure(Error::kKilled, "the run was killed");
    }
    if (!bytes.empty()) CO_TRY(co_await to->write(bytes, gate->loop.in(kWriteMost)));
    *count += bytes.size();
    bytes.resize(kReadPiece);
    const std::size_t got =
        CO_TRY(co_await from->read({bytes.data(), bytes.size()}, gate->loop.in(kTunnelIdleMost)));
    bytes.resize(got);
    if (got == 0) break;
  }
  (void)co_await to->finish(gate->loop.in(kWriteMost));
  co_return Result<void>();
}

// A tunnel that a rule allows by name: what goes through it is not seen, and recorded as such.
Task<void> tunnel(Gate& gate, Door& door, Client& client, const wire::Host& host,
                  std::uint16_t port, const Ruling& ruling) {
  Result<Intent> intent = co_await open_tunnel_intent(gate, door, host, port, ruling);
  if (!intent) {
    (void)co_await client.stream->write(
        response_of({intent.error(), ipc::ServiceKind::kHttp, ruling.rule, "", "", true}),
        gate.loop.in(kWriteMost));
    co_return;
  }
  auto upstream = co_await gate.upstreams.acquire(
      {host.ip() ? host.ip()->text() : host.text(), port, false, "", false},
      gate.loop.in(kWriteMost));
  if (!upstream) {
    intent->outcome.state = "failed";
    intent->outcome.reason = upstream.error().message();
    (void)co_await client.stream->write(
        response_of({upstream.error(), ipc::ServiceKind::kHttp, "", "", "", true}),
        gate.loop.in(kWriteMost));
    co_return;
  }
  (void)co_await client.stream->write(kEstablished, gate.loop.in(kWriteMost));
  client.mid_answer = true;
  std::uint64_t up = 0;
  std::uint64_t down = 0;
  {
    net::Nursery upward(gate.loop);
    upward.spawn([](this auto, Gate* g, const Door* d, Client* c, net::Stream* to,
                    std::uint64_t* n) -> Task<void> {
      (void)co_await pump(g, d, c->stream.get(), &c->inbox, to, n);
    }(&gate, &door, &client, upstream->stream.get(), &up));
    const auto done =
        co_await pump(&gate, &door, upstream->stream.get(), nullptr, client.stream.get(), &down);
    if (done) client.mid_answer = false;
    intent->outcome.state = done ? "done" : "cut";
    if (!done) intent->outcome.reason = done.error().message();
  }
  intent->tag("bytes.request", std::to_string(up));
  intent->tag("bytes.response", std::to_string(down));
}

Task<void> refuse_connect(Gate& gate, Door& door, Client& client, const wire::Host& host,
                          std::uint16_t port, Ruling ruling) {
  ++gate.counters.refused;
  record_refusal(gate, door, "CONNECT", fmt::format("{}:{}", host.text(), port), ruling);
  const std::string answer =
      response_of({{Error::kDenied, ruling.reason},
                   ipc::ServiceKind::kHttp,
                   ruling.rule,
                   "",
                   fmt::format("x-gatehouse-run: {}\r\nx-gatehouse-trace: {}\r\n",
                               door.run.run.text(), door.run.trace.text()),
                   true});
  if (co_await client.stream->write(answer, gate.loop.in(kWriteMost))) {
    (void)co_await client.stream->finish(gate.loop.in(kWriteMost));
  }
}

Task<void> serve_intercepted(Gate& gate, Door& door, std::unique_ptr<net::Stream> stream,
                             std::uint64_t connection, wire::Host host, std::uint16_t port) {
  auto inner = co_await intercept(gate, door, std::move(stream), host);
  if (!inner) {
    record_refusal(gate, door, "TLS", fmt::format("{}:{}", host.text(), port),
                   {Ruling::Effect::kDeny, "interception", inner.error().message()});
    co_return;
  }
  (*inner)->connection = connection;
  co_await serve_requests(gate, door, **inner, {Entrance::kCaptured, host, port, true});
}

// The name behind an address that was dialled: the one that the Door's DNS gave it for, or the
// address itself.
Result<wire::Host> dialled_host(const Door& door, const net::Endpoint& destination) {
  const auto address = wire::IpAddress::parse(destination.host);
  if (!address) return failure(Error::kInvalid, "a captured connection without a destination");
  if (const auto name = door.names.name_of(*address)) return wire::Host::parse(*name);
  return wire::Host::of(*address);
}

}  // namespace

Task<void> serve_connect(Gate& gate, Door& door, Client& client, wire::RequestHead head) {
  const wire::Host host = head.authority->host;
  const std::uint16_t port = head.authority->port.value_or(443);
  const ipc::ServiceSpec* service = service_at(gate, door, host, port);
  if (service != nullptr && service->agent_tls) {
    if (!client.inbox.waiting().empty())
      co_return;  // bytes before our answer: no TLS client does that
    if (!co_await client.stream->write(kEstablished, gate.loop.in(kWriteMost))) co_return;
    co_return co_await serve_intercepted(gate, door, std::move(client.stream), client.connection,
                                         host, port);
  }
  if (service != nullptr) {
    // Some clients (Node's) send plain http through CONNECT too: what follows is read and ruled on
    // like any request.
    if (!co_await client.stream->write(kEstablished, gate.loop.in(kWriteMost))) co_return;
    co_return co_await serve_requests(gate, door, client, {Entrance::kCaptured, host, port, false});
  }
  Ruling ruling{Ruling::Effect::kDeny, "no-rules", "no rules are in force yet"};
  if (gate.rulebook && !gate.is_killed(door.run.run)) {
    const Call call = HttpCall{};
    ruling = gate.rulebook->rule({&door.run, service, "CONNECT", &host, "/", &call});
  }
  if (!ruling.allowed()) co_return co_await refuse_connect(gate, door, client, host, port, ruling);
  co_await tunnel(gate, door, client, host, port, ruling);
}

Task<void> serve_captured(Gate& gate, Door& door, Client& client) {
  const net::Endpoint destination = client.stream->local();
  const Result<wire::Host> host = dialled_host(door, destination);
  if (!host) co_return;
  // The client speaks first in TLS and HTTP; what does not speak is none of them and is refused.
  const auto first = co_await client.stream->wait_readable(gate.loop.in(kHandshakeMost));
  std::array<char, 1> byte{};
  const bool spoke = first && client.stream->peek_now(byte) == 1;
  if (spoke && byte[0] == kTlsHandshake) {
    const ipc::ServiceSpec* service = service_at(gate, door, *host, destination.port);
    if (service != nullptr && service->agent_tls) {
      co_return co_await serve_intercepted(gate, door, std::move(client.stream), client.connection,
                                           *host, destination.port);
    }
  } else if (spoke) {
    co_return co_await serve_requests(gate, door, client,
                                      {Entrance::kCaptured, *host, destination.port, false});
  }
  ++gate.counters.refused;
  record_refusal(gate, door, "TCP", fmt::format("{}:{}", host->text(), destination.port),
                 {Ruling::Effect::kDeny, "default-deny",
                  "only HTTP, and TLS to services that are intercepted, leave a sandbox"});
  client.stream->close_with_reset();
}

}  // namespace gatehouse::gateway
