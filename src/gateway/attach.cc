// SPDX-License-Identifier: Apache-2.0
#include "gateway/attach.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "audit/digest.h"
#include "base/encoding.h"
#include "base/log.h"
#include "gateway/gate.h"
#include "gateway/refusal.h"
#include "wire/http2.h"
#include "wire/signature.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr Nanos kHandshakeMost = 10s;
constexpr Nanos kFirstHeadMost = 10s;
constexpr Nanos kWriteMost = 10s;
constexpr std::string_view kHeader = "proxy-authorization";
constexpr std::string_view kChallenge = R"(Bearer realm="gatehouse", error="invalid_token")";
constexpr int kUnauthorized = 401;
constexpr int kProxyUnauthorized = 407;

// The token of a Proxy-Authorization field (RFC 9110 section 11.7.2, RFC 6750 section 2.1); nothing
// where there is none or more than one.
std::optional<std::string_view> bearer_of(const wire::RequestHead& head) {
  constexpr std::string_view kScheme = "bearer ";
  const auto fields = head.headers.all(kHeader);
  if (fields.size() != 1 || fields.front().size() <= kScheme.size()) return std::nullopt;
  if (!wire::equal_ignoring_case(fields.front().substr(0, kScheme.size()), kScheme)) {
    return std::nullopt;
  }
  return wire::trimmed(fields.front().substr(kScheme.size()));
}

std::string digest_of(std::string_view token) { return to_hex(audit::sha256(token)); }

std::vector<wire::Jwk> keys_of(const Gate& gate) {
  std::vector<wire::Jwk> keys;
  if (!gate.rulebook) return keys;
  for (const std::string& x : gate.rulebook->run_token_keys()) {
    keys.push_back({wire::Jwk::Type::kEd25519, wire::ed25519_key_id(x), "EdDSA", "", "", x, ""});
  }
  return keys;
}

std::unexpected<Refused> not_in(std::string_view label, Error::Code code, std::string_view why,
                                std::optional<wire::RunToken> signed_as = {}) {
  return std::unexpected(Refused{label, Error(code, std::string(why)), std::move(signed_as)});
}

// The Door that this token opens to who has that certificate.
std::expected<Door*, Refused> opened(Gate& gate, std::string_view token,
                                     std::string_view thumbprint, Admission& admission) {
  const auto verified =
      wire::verified_run_token(token, keys_of(gate), thumbprint, gate.loop.wall());
  if (!verified) {
    return not_in(wire::label(verified.error().fault), Error::kUnauthenticated,
                  verified.error().why, verified.error().signed_as);
  }
  Door* door = gate.attached_door(verified->run);
  // What control says of the Run holds, whatever it once signed.
  if (door == nullptr || door->run.tenant != verified->tenant || door->thumbprint != thumbprint) {
    return not_in("no_run", Error::kUnauthenticated, "the run of this token is over", *verified);
  }
  if (gate.is_killed(door->run.run)) {
    return not_in("killed", Error::kKilled,
                  "the run " + door->run.run.text()
                      + " is killed; only a person with that right can revive it",
                  *verified);
  }
  admission = {std::string(thumbprint), digest_of(token), verified->expires_unix_s, true};
  return door;
}

// Reads until a head is whole; it stays in the inbox for who serves it.
Task<Result<wire::RequestHead>> peeked_head(Gate& gate, Client& client) {
  const Deadline deadline = gate.loop.in(kFirstHeadMost);
  wire::RequestParser parser;
  std::size_t seen = 0;
  while (!parser.done()) {
    if (seen == client.inbox.waiting().size()) {
      if (!CO_TRY(co_await client.inbox.fill(deadline))) {
        co_return failure(Error::kClosed, "the client left before it asked for anything");
      }
    }
    const wire::HeadProgress progress = CO_TRY(parser.feed(client.inbox.waiting().substr(seen)));
    seen += progress.consumed;
  }
  co_return parser.take();
}

// To who shows tokens it is a proxy that wants one (RFC 9110 section 15.5.8, RFC 6750 section 3);
// inside of a connection to one host it is that host.
std::string answer_to(const Client& client, const Door* door, const Error& error) {
  constexpr std::string_view kStatus = "HTTP/1.1 401 Unauthorized\r\n";
  std::string text = response_of({error, ipc::ServiceKind::kHttp, "", "",
                                  door == nullptr ? "" : door->headers(), true, false});
  const bool as_proxy = !client.admission || client.admission->takes_tokens;
  if (as_proxy && text.starts_with(kStatus)) {
    text.replace(0, kStatus.size(),
                 "HTTP/1.1 407 Proxy Authentication Required\r\n"
                 "proxy-authenticate: Bearer realm=\"gatehouse\", error=\"invalid_token\"\r\n");
  }
  return text;
}

// The first request of a connection of HTTP/2, read by a session that says nothing unless it is
// refused: what came stays in the inbox for who serves it.
class FirstRequest final : public wire::Http2Handler {
 public:
  Task<Result<wire::RequestHead>> peeked(Gate& gate, Client& client) {
    const Deadline deadline = gate.loop.in(kFirstHeadMost);
    std::size_t seen = 0;
    while (!head_) {
      if (seen == client.inbox.waiting().size()) {
        if (seen > kPeekedMost) co_return failure(Error::kTooLarge, "no request came at first");
        if (!CO_TRY(co_await client.inbox.fill(deadline))) {
          co_return failure(Error::kClosed, "the client left before it asked for anything");
        }
      }
      const std::string_view rest = client.inbox.waiting().substr(seen);
      seen += rest.size();
      CO_TRY(session_.feed(rest, gate.loop.now()));
    }
    co_return std::move(*head_);
  }
  // Says no to that request, and ends the connection.
  Task<void> refuse(Gate& gate, Client& client, const Door* door, Error error) {
    RefusalParts parts = parts_of({std::move(error), ipc::ServiceKind::kHttp, "", "",
                                   door == nullptr ? "" : door->headers(), true, false});
    wire::ResponseHead head;
    head.status = parts.status;
    head.headers.add("content-type", parts.content_type);
    head.headers.add("x-gatehouse-error", parts.label);
    if (parts.status == kUnauthorized) {
      head.status = kProxyUnauthorized;
      head.headers.add("proxy-authenticate", kChallenge);
    }
    body_ = std::move(parts.body);
    if (stream_ != 0 && !session_.answer(stream_, head, true)) co_return;
    session_.drain();
    std::string bytes;
    for (std::string_view out = session_.next_output(); !out.empty();
         out = session_.next_output()) {
      bytes += out;
    }
    if (!co_await client.stream->write(bytes, gate.loop.in(kWriteMost))) co_return;
    (void)co_await client.stream->finish(gate.loop.in(kWriteMost));
  }

 private:
  static constexpr std::size_t kPeekedMost = 2 * wire::kMaxHeadBytes;
  void on_request(std::int32_t stream, Result<wire::RequestHead> head) override {
    if (head_) return;
    stream_ = stream;
    head_.emplace(std::move(head));
  }
  void on_body(std::int32_t, std::string_view) override {}
  void on_end(std::int32_t, wire::Headers) override {}
  void on_close(std::int32_t, std::uint32_t) override {}
  Pulled on_pull(std::int32_t, char* into, std::size_t room, wire::Headers&) override {
    const std::size_t count = std::min(room, body_.size());
    std::memcpy(into, body_.data(), count);
    body_.erase(0, count);
    return {body_.empty() ? Pulled::What::kEnd : Pulled::What::kBytes, count};
  }

  std::optional<Result<wire::RequestHead>> head_;
  std::int32_t stream_ = 0;
  std::string body_;
  wire::Http2Server session_{*this};
};

// As refuse_token, to who speaks HTTP/2 (`first`) or does not (null).
Task<void> refuse_first(Gate& gate, Client& client, FirstRequest* first, const Door* door,
                        Refused why) {
  if (first == nullptr) co_return co_await refuse_token(gate, client, door, std::move(why));
  gate.attach().refused(client, why);
  co_await first->refuse(gate, client, door, std::move(why.error));
}

}  // namespace

Attach::Attach(Gate& gate)
    : gate_(gate), tasks_(gate.loop), accepting_(gate.loop), retiring_(gate.loop) {}

void Attach::listen(net::Descriptor listener) {
  given_ = std::move(listener);
  begin();
}

Task<Result<ipc::Done>> Attach::use(ipc::UseAttachIdentity identity) {
  const net::TlsIdentity own{std::move(identity.certificate_pem),
                             std::move(identity.private_key_pem)};
  // A client that speaks both gets HTTP/1.1: one connection of TCP for each tunnel, no stream waits
  // behind another.
  server_ = CO_TRY(net::TlsServer::make(
      {.identity = &own, .any_client_certificate = true, .http2 = true, .http1_first = true}));
  begin();
  co_return ipc::Done{};
}

void Attach::begin() {
  if (!server_ || !given_.is_open()) return;
  auto adopted = gate_.loop.adopt_listener(std::move(given_));
  if (!adopted) {
    log_error("the listener for agents outside of sandboxes", {{"why", adopted.error().message()}});
    return;
  }
  accepting_.cancel_all();
  if (listener_) {
    retiring_.spawn(accept_all(std::move(listener_), gate_.loop.in(kLeavesAfter)));
  }
  listener_ = std::move(*adopted);
  accepting_.spawn(accept_all(listener_, Deadline::never()));
}

Task<void> Attach::accept_all(std::shared_ptr<net::Listener> listener, Deadline until) {
  while (true) {
    auto stream = co_await listener->accept(until);
    if (!stream && stream.error() == Error::kTimeout) co_return;
    if (!stream) {
      log_warning("agents outside of sandboxes cannot come in for now",
                  {{"why", stream.error().message()}});
      co_await gate_.loop.sleep_for(100ms);
      continue;
    }
    if (tasks_.size() >= kStrangersMost) {
      (*stream)->close_with_reset();
      ++turned_away_;
      continue;
    }
    tasks_.spawn(admit(std::move(*stream)));
  }
}

Task<void> Attach::admit(std::unique_ptr<net::Stream> socket) {
  const std::shared_ptr<net::TlsServer> server = server_;
  auto accepted =
      co_await server->accept(gate_.loop, std::move(socket), gate_.loop.in(kHandshakeMost));
  if (!accepted) {
    ++handshakes_failed_;
    log_debug("a handshake with an agent outside of a sandbox failed",
              {{"why", accepted.error().message()}});
    co_return;
  }
  auto client = std::make_unique<Client>(std::move(accepted->stream));
  std::optional<FirstRequest> speaks_http2;
  if (accepted->speaks_http2) speaks_http2.emplace();
  FirstRequest* first = speaks_http2 ? &*speaks_http2 : nullptr;
  const auto head = first != nullptr ? co_await first->peeked(gate_, *client)
                                     : co_await peeked_head(gate_, *client);
  if (!head && head.error() == Error::kClosed) co_return;
  if (!head) {
    co_return co_await refuse_first(gate_, *client, first, nullptr,
                                    {"malformed", head.error(), std::nullopt});
  }
  const auto token = bearer_of(*head);
  Admission admission;
  const auto door =
      token
          ? opened(gate_, *token, accepted->client_certificate_sha256, admission)
          : not_in("none", Error::kUnauthenticated,
                   "this port is for agents that `gatehouse attach` runs: a run token is missing");
  if (!door) {
    const Door* known =
        door.error().signed_as ? gate_.attached_door(door.error().signed_as->run) : nullptr;
    co_return co_await refuse_first(gate_, *client, first, known, door.error());
  }
  client->admission = std::move(admission);
  gate_.serve_at(**door, std::move(client), Entrance::kProxy);
}

bool PerSecond::take(Instant now) {
  if (!since_ || now - *since_ >= 1s) {
    since_ = now;
    taken_ = 0;
  }
  if (taken_ >= most_) return false;
  ++taken_;
  return true;
}

void Attach::refused(const Client& client, const Refused& why) {
  ++refused_[why.label];
  gate_.counters.refuse(why.error.code());
  if (!records_.take(gate_.loop.now())) {
    ++unrecorded_;
    ++unrecorded_ever_;
    return;
  }
  audit::Entry entry;
  entry.kind = audit::Kind::kRefused;
  entry.add("call", "attach");
  entry.add("target", client.stream->peer().text());
  entry.add("ruling", "deny");
  entry.add("rule", fmt::format("run-token.{}", why.label));
  entry.add("reason", std::string_view(why.error.message()).substr(0, 512));
  if (unrecorded_ > 0) entry.add("unrecorded", std::to_string(unrecorded_));
  if (why.signed_as) {
    entry.tenant = why.signed_as->tenant;
    entry.run = why.signed_as->run;
    entry.add("token", printable(why.signed_as->id).substr(0, 64));
    if (const Door* door = gate_.attached_door(why.signed_as->run)) entry.trace = door->run.trace;
  }
  unrecorded_ = 0;
  gate_.recorder.append_now(std::move(entry));
}

void Attach::add_counters(ipc::CounterList& list) const {
  list.counters.push_back({"attach.handshakes.failed", handshakes_failed_});
  list.counters.push_back({"attach.turned_away", turned_away_});
  list.counters.push_back({"attach.unrecorded", unrecorded_ever_});
  for (const auto& [label, count] : refused_) {
    list.counters.push_back({fmt::format("attach.refused.{}", label), count});
  }
}

std::expected<void, Refused> admitted_again(Gate& gate, Door& door, Client& client,
                                            wire::RequestHead& head) {
  Admission& admission = *client.admission;
  if (admission.takes_tokens) {
    const auto token = bearer_of(head);
    if (!token && head.headers.count(kHeader) > 0) {
      return not_in("malformed", Error::kUnauthenticated,
                    "a run token comes as one Proxy-Authorization: Bearer");
    }
    if (token && digest_of(*token) != admission.digest) {
      Admission next;
      const auto leads_to = opened(gate, *token, admission.thumbprint, next);
      if (!leads_to) return std::unexpected(leads_to.error());
      if (*leads_to != &door) {
        return not_in("other_run", Error::kUnauthenticated,
                      "the run token is of another run than this connection");
      }
      admission = std::move(next);
    }
  }
  head.headers.remove(kHeader);
  if (admission.until_unix_s <= gate.loop.wall().unix_seconds()) {
    return not_in("expired", Error::kUnauthenticated,
                  "the run token that this connection came with has expired; make another "
                  "connection");
  }
  return {};
}

Task<void> refuse_token(Gate& gate, Client& client, const Door* door, Refused why) {
  gate.attach().refused(client, why);
  const std::string answer = answer_to(client, door, why.error);
  if (co_await client.stream->write(answer, gate.loop.in(kWriteMost))) {
    (void)co_await client.stream->finish(gate.loop.in(kWriteMost));
  }
}

}  // namespace gatehouse::gateway
