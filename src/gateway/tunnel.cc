// SPDX-License-Identifier: Apache-2.0
#include "gateway/tunnel.h"

#include <fmt/format.h>

#include "base/log.h"
#include "gateway/exchange.h"
#include "gateway/http2_connection.h"
#include "gateway/pipe.h"
#include "gateway/record.h"
#include "gateway/refusal.h"
#include "wire/client_hello.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr Nanos kHandshakeMost = std::chrono::seconds(15);

// By CONNECT of HTTP/1.1, which wants an answer.
class TextConnecting final : public Connecting {
 public:
  TextConnecting(Gate& gate, const Door& door, Client& client)
      : gate_(gate), door_(door), client_(client) {}
  [[nodiscard]] Task<Result<void>> established() override {
    const std::string text = "HTTP/1.1 200 Connection established\r\n" + door_.headers() + "\r\n";
    co_return co_await client_.stream->write(text, gate_.loop.in(kClientTakesMost));
  }
  [[nodiscard]] Task<void> refuse(Refusal refusal) override {
    const std::string answer = response_of(refusal);
    if (co_await client_.stream->write(answer, gate_.loop.in(kClientTakesMost))) {
      (void)co_await client_.stream->finish(gate_.loop.in(kClientTakesMost));
    }
  }

 private:
  Gate& gate_;
  const Door& door_;
  Client& client_;
};

// By dialling: nobody waits for a word.
class Dialled final : public Connecting {
 public:
  explicit Dialled(Client& client) : client_(client) {}
  [[nodiscard]] Task<Result<void>> established() override { co_return Result<void>(); }
  [[nodiscard]] Task<void> refuse(Refusal) override {
    client_.stream->close_with_reset();
    co_return;
  }

 private:
  Client& client_;
};

constexpr char kTlsHandshake =
    0x16;  // RFC 8446 section 5.1: the first byte of a ClientHello's record

const ipc::ServiceSpec* service_at(Gate& gate, const Door& door, const wire::Host& host,
                                   std::uint16_t port) {
  if (!gate.rulebook) return nullptr;
  return gate.rulebook->service_at(door.run.tenant, host.text(), port);
}

// What an agent is offered is what it would find without us: no HTTP/2 where the upstream was found
// not to speak it. Before an exchange has found that out both are offered: no upstream is contacted
// ahead of a ruling.
net::TlsServer::Offer offer_for(Gate& gate, const ipc::ServiceSpec* service) {
  using Offer = net::TlsServer::Offer;
  if (service == nullptr || !service->upstream_tls) return Offer::kAsMade;
  const auto to = gate.upstreams.destination_of(*service);
  if (!to) return Offer::kAsMade;
  return gate.upstreams.speaks_http2(*to).value_or(true) ? Offer::kAsMade : Offer::kHttp1;
}

// From now on `client` is a TLS stream that speaks as `host`. Errors: the handshake's, or that the
// client asked for another name than it dialled.
Task<Result<std::unique_ptr<Client>>> intercept(Gate& gate, Door& door,
                                                std::unique_ptr<net::Stream> stream,
                                                const wire::Host& host, std::uint16_t port) {
  const Deadline deadline = gate.loop.in(kHandshakeMost);
  const auto server = CO_TRY(co_await gate.interceptor.server_for(door.run, host.text(), deadline));
  auto accepted = CO_TRY(co_await server->accept(
      gate.loop, std::move(stream), deadline, offer_for(gate, service_at(gate, door, host, port))));
  if (!accepted.server_name.empty() && accepted.server_name != host.text()) {
    co_return failure(Error::kDenied, fmt::format("the TLS name {} on a connection to {}",
                                                  accepted.server_name, host.text()));
  }
  auto client = std::make_unique<Client>(std::move(accepted.stream));
  client->speaks_http2 = accepted.speaks_http2;
  co_return client;
}

// Whether the Run is killed; the table is read only when its generation has moved.
std::function<bool()> kill_watch(const Gate& gate, const Door& door) {
  return [&gate, &door, seen = std::uint64_t{0}]() mutable {
    if (!gate.kills || gate.kills->generation() == seen) return false;
    seen = gate.kills->generation();
    return gate.is_killed(door.run.run);
  };
}

Task<void> fail_tunnel(Gate& gate, const Door& door, Connecting& asked, Error error,
                       std::string rule) {
  gate.counters.refuse(error.code());
  co_await asked.refuse(
      {std::move(error), ipc::ServiceKind::kHttp, std::move(rule), "", door.headers(), true});
}

// A tunnel that a rule allows by name: what goes through it is not seen, and recorded as such.
Task<void> tunnel(Gate& gate, Door& door, Client& client, wire::Host host, std::uint16_t port,
                  Ruling ruling, Connecting& asked) {
  Result<Intent> intent = co_await open_tunnel_intent(gate, door, host, port, ruling);
  if (!intent) co_return co_await fail_tunnel(gate, door, asked, intent.error(), "");
  auto upstream = co_await gate.upstreams.acquire_new(
      {host.ip() ? host.ip()->text() : host.text(), port, false, "", false},
      gate.loop.in(kClientTakesMost));
  if (!upstream) {
    intent->fail(upstream.error());
    co_return co_await fail_tunnel(gate, door, asked, upstream.error(),
                                   upstream.error() == Error::kDenied ? "private-address" : "");
  }
  if (const Result<void> told = co_await asked.established(); !told) {
    co_return intent->fail(told.error(), "cut");
  }
  client.mid_answer = true;
  Pipe pipe(gate.loop, kill_watch(gate, door));
  const Result<void> done = co_await pipe.run(client, *upstream->stream);
  if (done) client.mid_answer = false;
  if (done) intent->outcome.state = "done";
  if (!done) intent->fail(done.error(), "cut");
  intent->tag("bytes.request", std::to_string(pipe.up()));
  intent->tag("bytes.response", std::to_string(pipe.down()));
}

Task<void> refuse_connect(Gate& gate, const Door& door, Connecting& asked, const wire::Host& host,
                          std::uint16_t port, Ruling ruling) {
  record_refusal(gate, door, "CONNECT", fmt::format("{}:{}", host.text(), port), ruling);
  co_await fail_tunnel(gate, door, asked, {Error::kDenied, ruling.reason}, ruling.rule);
}

Ruling ruling_on_tunnel(const Gate& gate, const Door& door, const wire::Host& host,
                        std::uint16_t port) {
  if (!gate.rulebook || gate.is_killed(door.run.run)) {
    return {Ruling::Effect::kDeny, "no-rules", "no rules are in force yet"};
  }
  const Call call = HttpCall{};
  return gate.rulebook->rule({&door.run, nullptr, "CONNECT", &host, port, "/", &call});
}

Task<void> serve_intercepted(Gate& gate, Door& door, Client& client, wire::Host host,
                             std::uint16_t port) {
  auto inner = co_await intercept(gate, door, std::move(client.stream), host, port);
  if (!inner) {
    record_refusal(gate, door, "TLS", fmt::format("{}:{}", host.text(), port),
                   {Ruling::Effect::kDeny, "interception", inner.error().message()});
    co_return;
  }
  (*inner)->connection = client.connection;
  (*inner)->admission = client.admission;
  if (client.admission) (*inner)->admission->takes_tokens = false;
  const Place place{Entrance::kCaptured, host, std::nullopt, port, true};
  if ((*inner)->speaks_http2) {
    co_await serve_http2(gate, door, **inner, place);
  } else {
    co_await serve_requests(gate, door, **inner, place);
  }
}

// The name behind an address that was dialled. Nothing: it stands for a name that another gateway
// gave it for, and of those that match a pattern; the client has to say which.
Result<std::optional<wire::Host>> dialled_host(const Gate& gate, const Door& door,
                                               const net::Endpoint& destination) {
  const auto address = wire::IpAddress::parse(destination.host);
  if (!address) return failure(Error::kInvalid, "a captured connection without a destination");
  if (!SyntheticNames::is_synthetic(*address)) return wire::Host::of(*address);
  if (const auto name = door.names.name_of(*address)) return TRY(wire::Host::parse(*name));
  if (gate.rulebook) {
    for (const std::string& name : gate.rulebook->names_for(door.run)) {
      if (door.names.stands_for(*address, name)) return TRY(wire::Host::parse(name));
    }
  }
  return std::nullopt;
}

// The name that the ClientHello asks for, of which the first byte is there; it stays unread.
Task<Result<std::string>> asked_name(Gate& gate, net::Stream& stream) {
  constexpr Nanos kBetweenLooks = 2ms;
  const Deadline deadline = gate.loop.in(kHandshakeMost);
  std::string seen(wire::kMaxClientHello, '\0');
  while (true) {
    const std::size_t got = stream.peek_now({seen.data(), seen.size()});
    auto hello = CO_TRY(wire::read_client_hello(std::string_view(seen).substr(0, got)));
    if (hello.is_whole) co_return std::move(hello.server_name);
    if (gate.loop.now() >= deadline.at()) {
      co_return failure(Error::kTooSlow, "the TLS ClientHello did not come within 15 s");
    }
    co_await gate.loop.sleep_for(kBetweenLooks);
  }
}

// Of a TLS client that dialled an address whose name is not known here.
Task<Result<wire::Host>> host_asked_for(Gate& gate, const Door& door, net::Stream& stream,
                                        const wire::IpAddress& address) {
  const std::string name = CO_TRY(co_await asked_name(gate, stream));
  const wire::Host host = CO_TRY(wire::Host::parse(name));
  if (!door.names.stands_for(address, host.text())) {
    co_return failure(Error::kDenied, fmt::format("the TLS name {} on a connection to {}, which "
                                                  "was not given for that name",
                                                  host.text(), address.text()));
  }
  co_return host;
}

}  // namespace

Task<void> serve_connect(Gate& gate, Door& door, Client& client, wire::RequestHead head) {
  TextConnecting asked(gate, door, client);
  co_await serve_connect(gate, door, client, std::move(head), asked);
}

Task<void> serve_connect(Gate& gate, Door& door, Client& client, wire::RequestHead head,
                         Connecting& asked) {
  const wire::Host host = head.authority->host;
  const std::uint16_t port = head.authority->port.value_or(443);
  const ipc::ServiceSpec* service = service_at(gate, door, host, port);
  if (const ipc::Placeholder* carried = door.placeholder_in(head)) {
    const std::string target = fmt::format("{}:{}", host.text(), port);
    record_misuse(gate, door, "CONNECT", target, *carried);
    co_return co_await fail_tunnel(
        gate, door, asked,
        {Error::kDenied, "the placeholder of service " + carried->service
                             + " was sent with CONNECT " + target
                             + "; it belongs into a request, and this is recorded as an "
                               "alarm"},
        std::string(kPlaceholderBinding));
  }
  if (service != nullptr && service->agent_tls) {
    if (!client.inbox.waiting().empty())
      co_return;  // bytes before our answer: no TLS client does that
    if (!co_await asked.established()) co_return;
    co_return co_await serve_intercepted(gate, door, client, host, port);
  }
  if (service != nullptr) {
    // Some clients (Node's) send plain http through CONNECT too: what follows is read and ruled on
    // like any request.
    if (!co_await asked.established()) co_return;
    if (client.admission) client.admission->takes_tokens = false;
    co_return co_await serve_requests(gate, door, client,
                                      {Entrance::kCaptured, host, std::nullopt, port, false});
  }
  const Ruling ruling = ruling_on_tunnel(gate, door, host, port);
  if (!ruling.allowed()) co_return co_await refuse_connect(gate, door, asked, host, port, ruling);
  co_await tunnel(gate, door, client, host, port, ruling, asked);
}

Task<void> serve_captured(Gate& gate, Door& door, Client& client) {
  const net::Endpoint destination = client.stream->local();
  Result<std::optional<wire::Host>> host = dialled_host(gate, door, destination);
  if (!host) co_return;
  // The client speaks first in TLS and HTTP; what does not speak is none of them and is refused.
  const auto first = co_await client.stream->wait_readable(gate.loop.in(kHandshakeMost));
  std::array<char, 1> byte{};
  const bool spoke = first && client.stream->peek_now(byte) == 1;
  const bool is_tls = spoke && byte[0] == kTlsHandshake;
  const auto address = wire::IpAddress::parse(destination.host);
  if (is_tls && !*host) {
    auto asked = co_await host_asked_for(gate, door, *client.stream, *address);
    if (asked) *host = std::move(*asked);
  } else if (spoke && !is_tls) {
    const auto stands_for = *host ? std::nullopt : std::optional(*address);
    co_return co_await serve_requests(
        gate, door, client, {Entrance::kCaptured, *host, stands_for, destination.port, false});
  }
  if (is_tls && *host) {
    const ipc::ServiceSpec* service = service_at(gate, door, **host, destination.port);
    if (service != nullptr && service->agent_tls) {
      co_return co_await serve_intercepted(gate, door, client, **host, destination.port);
    }
    const Ruling ruling =
        service == nullptr ? ruling_on_tunnel(gate, door, **host, destination.port) : Ruling();
    if (ruling.allowed()) {
      Dialled asked(client);
      co_return co_await tunnel(gate, door, client, **host, destination.port, ruling, asked);
    }
  }
  gate.counters.refuse(Error::kDenied);
  record_refusal(
      gate, door, "TCP",
      fmt::format("{}:{}", *host ? (*host)->text() : destination.host, destination.port),
      {Ruling::Effect::kDeny, "default-deny",
       "only HTTP, and TLS to services and to hosts that a rule names, leave a sandbox"});
  client.stream->close_with_reset();
}

}  // namespace gatehouse::gateway
