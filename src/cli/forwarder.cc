// SPDX-License-Identifier: Apache-2.0
#include "cli/forwarder.h"

#include <fmt/format.h>

#include <array>

#include "base/encoding.h"
#include "net/nursery_inl.h"
#include "net/resolve.h"
#include "wire/url.h"
#include "wire/websocket.h"

namespace gatehouse::cli {
namespace {

using net::Task;

constexpr Nanos kFirstHeadMost = std::chrono::seconds(120);  // until the agent asks for something
constexpr Nanos kHeadMost = std::chrono::seconds(30);
constexpr Nanos kWriteMost = std::chrono::seconds(10);  // of an answer of our own
constexpr Nanos kDialMost = std::chrono::seconds(20);
constexpr int kDialsMost = 6;  // a gateway that died is back, or another accepts
constexpr Nanos kFirstPause = std::chrono::milliseconds(50);
constexpr Nanos kConnectMost = std::chrono::seconds(60);  // from a CONNECT to its answer
constexpr Nanos kLingerMost = std::chrono::seconds(2);
constexpr std::string_view kNotLetIn = "HTTP/1.1 407 ";
constexpr std::string_view kConnected = "HTTP/1.1 200 ";
constexpr std::string_view kSwitched = "HTTP/1.1 101 ";
constexpr std::size_t kStatusSize = kSwitched.size();  // that of each of them
constexpr Nanos kTokenWaitMost = std::chrono::seconds(20);
constexpr Nanos kTokenLeftLeast = std::chrono::milliseconds(500);  // else it may end on its way
constexpr std::size_t kPiece = 16 * 1024;
constexpr std::string_view kUser = "run";
constexpr std::string_view kHeader = "proxy-authorization";

// Of a chain the leaf alone: it is what the gateways are known by, and nothing that signed it.
std::string leaf_of(const std::string& chain) {
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  const std::size_t end = chain.find(kEnd);
  return end == std::string::npos ? chain : chain.substr(0, end + kEnd.size()) + "\n";
}

std::string answer_of(const Error& error, bool wants_password = false) {
  const ErrorRow& row = row_of(error.code());
  const int status = wants_password ? 407 : row.http_status;
  const std::string body = fmt::format(
      "{{\"type\":\"about:blank\",\"title\":{},\"status\":{},\"detail\":{},"
      "\"gatehouse_error\":\"{}\"}}\n",
      json_quoted(wire::reason_phrase(status)), status, json_quoted(error.message()), row.label);
  return fmt::format(
      "HTTP/1.1 {} {}\r\n{}content-type: application/problem+json\r\ncontent-length: {}\r\n"
      "x-gatehouse-error: {}\r\nconnection: close\r\n\r\n{}",
      status, wire::reason_phrase(status),
      wants_password ? "proxy-authenticate: Basic realm=\"gatehouse attach\"\r\n" : "", body.size(),
      row.label, body);
}

// All that comes, until its end in order.
Task<Result<void>> down(net::Stream* from, net::Stream* to) {
  std::array<char, kPiece> bytes;
  while (true) {
    const std::size_t got = CO_TRY(co_await from->read(bytes, Deadline::never()));
    if (got == 0) co_return Result<void>();
    CO_TRY(co_await to->write({bytes.data(), got}, Deadline::never()));
  }
}

Task<int> set(net::Event* event) {
  (void)co_await event->wait(Deadline::never());
  co_return 0;
}

bool is_connect(const wire::RequestHead& head) { return head.form == wire::TargetForm::kAuthority; }

// What follows such a request may be no HTTP, by what is answered.
bool may_lead_on(const wire::RequestHead& head) {
  const auto offer = wire::websocket_offer(head);
  return is_connect(head) || (offer && *offer);
}

}  // namespace

// The agent's side of one connection.
struct Forwarder::Agent {
  std::unique_ptr<net::Stream> stream;
  std::string waiting = {};

  // False at its end.
  [[nodiscard]] Task<Result<bool>> fill(Deadline deadline) {
    const std::size_t before = waiting.size();
    waiting.resize(before + kPiece);
    const auto got = co_await stream->read({waiting.data() + before, kPiece}, deadline);
    waiting.resize(before + (got ? *got : 0));
    if (!got) co_return Failure(got.error());
    co_return *got > 0;
  }
  // Nothing when it ended in order between two requests, or asked for nothing until the deadline.
  [[nodiscard]] Task<Result<std::optional<wire::RequestHead>>> next_head(net::Loop* loop,
                                                                         Deadline deadline) {
    wire::RequestParser parser;
    while (true) {
      if (!waiting.empty()) {
        const auto progress = CO_TRY(parser.feed(waiting));
        waiting.erase(0, progress.consumed);
        if (progress.done) co_return parser.take();
        deadline = std::min(deadline, loop->in(kHeadMost));
      }
      const bool untouched = parser.untouched();
      const auto more = co_await fill(deadline);
      if (untouched && (!more || !*more)) co_return std::nullopt;
      if (!more) co_return Failure(more.error());
      if (!*more) co_return failure(Error::kInvalid, "the request broke off in its head");
    }
  }
};

// A gateway's side.
struct Forwarder::Reached {
  std::unique_ptr<net::Stream> stream;
  std::string answered;    // what came by now
  bool is_tunnel = false;  // all that follows is not HTTP
};

Forwarder::Forwarder(net::Loop& loop, net::TlsIdentity identity)
    : loop_(loop), identity_(std::move(identity)), renewed_(loop), refused_(loop), tasks_(loop) {
  const Secret random = Secret::random(32);
  std::string text = fmt::format("{}:{}", kUser, to_base64url(random.open(Purpose::kTransport)));
  user_and_password_ = Secret(text);
  credential_ = Secret(to_base64(text));
  wipe({text.data(), text.size()});
}

Result<void> Forwarder::open() {
  listener_ = TRY(loop_.listen(net::Endpoint::ip("127.0.0.1", 0)));
  tasks_.spawn(accept());
  return {};
}

std::string Forwarder::url() const {
  return fmt::format("http://{}@127.0.0.1:{}", user_and_password_.open(Purpose::kTransport),
                     listener_->local().port);
}

Result<void> Forwarder::use(const GatewayPlace& place, Secret token, Instant ends) {
  if (!tls_ || place != place_) {
    const auto authority = TRY(wire::Authority::parse(place.address));
    if (!authority.port) return failure(Error::kInvalid, "the gateway's address has no port");
    tls_ = TRY(net::TlsClient::make({.extra_ca_pem = leaf_of(place.certificate_pem),
                                     .system_roots = false,
                                     .anchors_are_pins = true,
                                     .identity = &identity_}));
    place_ = place;
  }
  token_ = std::move(token);
  ends_ = ends;
  renewed_.set();
  return {};
}

void Forwarder::give_up(Error why) {
  given_up_ = std::move(why);
  renewed_.set();
}

Task<void> Forwarder::accept() {
  while (true) {
    auto stream = co_await listener_->accept(Deadline::never());
    if (!stream) {
      co_await loop_.sleep_for(100ms);
      continue;
    }
    if (tasks_.size() > kConnectionsMost) {  // this task is one of them
      (*stream)->close_with_reset();
      continue;
    }
    tasks_.spawn(serve(std::move(*stream)));
  }
}

Task<void> Forwarder::until_refused(Deadline deadline) {
  (void)co_await refused_.wait(deadline);
  refused_.reset();
}

Task<void> Forwarder::serve(std::unique_ptr<net::Stream> stream) {
  Agent agent{std::move(stream)};
  auto head = co_await agent.next_head(&loop_, loop_.in(kFirstHeadMost));
  if (!head) co_return co_await refuse(&agent, answer_of(head.error()));
  if (!*head) co_return;
  if (!is_of_run(**head)) {
    const Error why(Error::kUnauthenticated,
                    "this port is the proxy of one agent, which has its password in HTTPS_PROXY");
    co_return co_await refuse(&agent, answer_of(why, true));
  }
  auto reached = co_await reach(&**head);
  if (!reached) co_return co_await refuse(&agent, answer_of(reached.error()));
  if (!reached->answered.empty()) {
    if (!co_await agent.stream->write(reached->answered, loop_.in(kWriteMost))) co_return;
  }
  net::Stream* gateway = reached->stream.get();
  net::Event broken(loop_);
  net::Nursery sending(loop_);
  sending.spawn(up(&agent, &*reached, std::move(**head), &broken));
  const auto ended = co_await net::race(loop_, down(gateway, agent.stream.get()), set(&broken));
  // A cut of the gateway's must not look like an end to the agent.
  if (ended.index() == 0 && std::get<0>(ended)) {
    (void)co_await agent.stream->finish(loop_.in(kWriteMost));
  } else {
    agent.stream->close_with_reset();
  }
}

// Takes what is still on its way, so that closing does not destroy the answer before it is read.
Task<void> Forwarder::refuse(Agent* agent, std::string answer) {
  if (!co_await agent->stream->write(answer, loop_.in(kWriteMost))) co_return;
  (void)co_await agent->stream->finish(loop_.in(kWriteMost));
  const Deadline deadline = loop_.in(kLingerMost);
  do {
    agent->waiting.clear();
  } while ((co_await agent->fill(deadline)).value_or(false));
}

// Of what may lead on the head is sent, and how the answer begins is looked at. A CONNECT is sent
// again with another token where the gateway does not let this one in: nothing has happened by
// then.
Task<Result<Forwarder::Reached>> Forwarder::reach(const wire::RequestHead* head) {
  for (bool is_first = true;; is_first = false) {
    CO_TRY(co_await have_token());
    Reached reached{CO_TRY(co_await dial())};
    if (!may_lead_on(*head)) co_return reached;
    CO_TRY(co_await send_head(reached.stream.get(), head));
    // How long an upstream may take for its answer is the gateway's to say.
    const Deadline deadline = is_connect(*head) ? loop_.in(kConnectMost) : Deadline::never();
    std::array<char, kPiece> bytes;
    while (reached.answered.size() < kStatusSize) {
      const std::size_t got = CO_TRY(co_await reached.stream->read(bytes, deadline));
      if (got == 0) break;
      reached.answered.append(bytes.data(), got);
    }
    reached.is_tunnel = reached.answered.starts_with(is_connect(*head) ? kConnected : kSwitched);
    const bool is_kept_out = is_connect(*head) && reached.answered.starts_with(kNotLetIn);
    if (!is_first || !is_kept_out) co_return reached;
    co_await another_token();
  }
}

bool Forwarder::is_of_run(const wire::RequestHead& head) const {
  constexpr std::string_view kScheme = "basic ";
  const auto fields = head.headers.all(kHeader);
  if (fields.size() != 1 || fields.front().size() <= kScheme.size()
      || !wire::equal_ignoring_case(fields.front().substr(0, kScheme.size()), kScheme)) {
    return false;
  }
  return Secret(wire::trimmed(fields.front().substr(kScheme.size()))) == credential_;
}

Result<std::string> Forwarder::signed_head(wire::RequestHead head) const {
  head.headers.remove(kHeader);
  head.headers.add("proxy-authorization",
                   fmt::format("Bearer {}", token_.open(Purpose::kTransport)));
  std::string text;
  TRY(wire::append_request_head(text, head));
  return text;
}

Task<Result<void>> Forwarder::have_token() {
  const Deadline deadline = loop_.in(kTokenWaitMost);
  while (ends_ - loop_.now() < kTokenLeftLeast) {
    if (given_up_) co_return Failure(*given_up_);
    renewed_.reset();
    if (!co_await renewed_.wait(deadline)) {
      co_return failure(Error::kUnavailable,
                        "the run token has expired, and the gatehouse gave no other yet");
    }
  }
  co_return Result<void>();
}

Task<void> Forwarder::another_token() {
  if (given_up_) co_return;
  renewed_.reset();
  refused_.set();
  (void)co_await renewed_.wait(loop_.in(kTokenWaitMost));
}

// The agent's requests, one after another, each with the token of its time; of a tunnel all that
// follows. `broken` tells that nothing more can be made of this connection.
Task<void> Forwarder::up(Agent* agent, const Reached* reached, wire::RequestHead head,
                         net::Event* broken) {
  net::Stream* gateway = reached->stream.get();
  for (bool is_asked = may_lead_on(head);; is_asked = false) {  // the first, by `reach`
    if (!is_asked && !co_await send_head(gateway, &head)) break;
    if (!co_await send_body(agent, gateway, reached->is_tunnel, head.framing)) break;
    // An answer may take as long as it likes; what is idle after one, the gateway ends.
    auto next = co_await agent->next_head(&loop_, Deadline::never());
    if (next && !*next) {
      (void)co_await gateway->finish(loop_.in(kWriteMost));
      co_return;
    }
    // What may lead on and is not the first would have its answer among those of other requests.
    if (!next || !is_of_run(**next) || may_lead_on(**next) || !co_await have_token()) {
      break;
    }
    head = std::move(**next);
  }
  broken->set();
}

Task<Result<void>> Forwarder::send_head(net::Stream* gateway, const wire::RequestHead* head) {
  std::string text = CO_TRY(signed_head(*head));
  const auto sent = co_await gateway->write(text, Deadline::never());
  wipe({text.data(), text.size()});
  co_return sent;
}

Task<Result<void>> Forwarder::send_body(Agent* agent, net::Stream* gateway, bool is_tunnel,
                                        wire::BodyFraming framing) {
  wire::BodyReader body(framing);
  while (is_tunnel || !body.done()) {
    if (agent->waiting.empty()) {
      const bool more = CO_TRY(co_await agent->fill(Deadline::never()));
      // A tunnel may be half closed; what is asked for is not half there.
      if (!more && !is_tunnel) co_return failure(Error::kClosed, "the agent left in a request");
      if (!more) co_return Result<void>();
    }
    std::size_t size = agent->waiting.size();
    if (!is_tunnel) size = CO_TRY(body.feed(agent->waiting)).consumed;
    CO_TRY(co_await gateway->write(std::string_view(agent->waiting).substr(0, size),
                                   Deadline::never()));
    agent->waiting.erase(0, size);
  }
  co_return Result<void>();
}

Task<Result<std::unique_ptr<net::Stream>>> Forwarder::dial() {
  const Deadline deadline = loop_.in(kDialMost);
  Nanos pause = kFirstPause;
  for (int dials = 1;; ++dials) {
    auto stream = co_await dial_once(deadline);
    if (stream) co_return *std::move(stream);
    // They may have another certificate by now.
    if (dials == 1 && stream.error() == Error::kUpstream) co_await another_token();
    // Or be elsewhere; while they are only being started anew, nothing comes of it.
    if (dials == 1 && stream.error() == Error::kUnreachable) refused_.set();
    if (dials == kDialsMost || loop_.now() + pause >= deadline.at()) {
      co_return failure(Error::kUnreachable,
                        fmt::format("the gatehouse at {} cannot be reached: {}", place_.address,
                                    stream.error().message()));
    }
    co_await loop_.sleep_for(pause);
    pause *= 2;
  }
}

Task<Result<std::unique_ptr<net::Stream>>> Forwarder::dial_once(Deadline deadline) {
  const std::shared_ptr<net::TlsClient> tls = tls_;
  const auto authority = CO_TRY(wire::Authority::parse(place_.address));
  const std::string name =
      authority.host.ip() ? authority.host.ip()->text() : authority.host.text();
  const auto resolver = CO_TRY(net::Resolver::make(loop_));
  const auto addresses = CO_TRY(co_await resolver->resolve(name, *authority.port, deadline));
  Error last(Error::kUnreachable, name + " has no address");
  for (const net::Endpoint& address : addresses) {
    auto socket = co_await loop_.connect(address, deadline);
    if (socket) co_return co_await tls->connect(loop_, *std::move(socket), name, deadline);
    last = socket.error();
  }
  co_return Failure(std::move(last));
}

}  // namespace gatehouse::cli
