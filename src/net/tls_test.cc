// SPDX-License-Identifier: Apache-2.0
// TLS on both sides, with certificates that the test makes for itself.
#include <gtest/gtest.h>

#include <csignal>

#include "net/cancel_everywhere.h"
#include "net/nursery.h"
#include "net/real_loop.h"
#include "net/resolve.h"
#include "net/test_identity.h"
#include "net/tls.h"

namespace gatehouse::net {
namespace {

// A certificate for `name`: self-signed, so its own trust anchor, or signed by `issuer`.
TlsIdentity self_signed(const std::string& name, long from_s = -60, long until_s = 3600,
                        const TlsIdentity* issuer = nullptr) {
  return identity_of({"DNS:" + name, name, from_s, until_s, issuer});
}

struct Outcome {
  Result<std::string> client = failure(Error::kInternal, "did not run");
  Result<std::string> server = failure(Error::kInternal, "did not run");
  std::string thumbprint;  // of the client's certificate
};

Task<void> serve(Loop* loop, TlsServer* tls, Listener* listener, Outcome* out) {
  auto socket = co_await listener->accept(loop->in(5s));
  auto accepted = co_await tls->accept(*loop, std::move(*socket), loop->in(5s));
  if (!accepted) {
    out->server = Failure(accepted.error());
    co_return;
  }
  out->thumbprint = accepted->client_certificate_sha256;
  std::array<char, 100> buffer;
  const auto got = co_await accepted->stream->read(buffer, loop->in(5s));
  if (!got) {
    out->server = Failure(got.error());
    co_return;
  }
  out->server = accepted->server_name + ":" + std::string(buffer.data(), *got);
  (void)co_await accepted->stream->write("pong", loop->in(5s));
  (void)co_await accepted->stream->finish(loop->in(5s));
}

Task<Result<std::string>> ask(Loop* loop, TlsClient* tls, Endpoint to, std::string name) {
  auto socket = CO_TRY(co_await loop->connect(to, loop->in(5s)));
  auto stream = CO_TRY(co_await tls->connect(*loop, std::move(socket), name, loop->in(5s)));
  CO_TRY(co_await stream->write("ping", loop->in(5s)));
  std::array<char, 100> buffer;
  const std::size_t got = CO_TRY(co_await stream->read(buffer, loop->in(5s)));
  const std::size_t end = CO_TRY(co_await stream->read({buffer.data() + got, 10}, loop->in(5s)));
  co_return std::string(buffer.data(), got + end);
}

Outcome meet(TlsServer& server, TlsClient& client, const std::string& name) {
  auto loop = make_real_loop();
  auto listener = loop->listen(Endpoint::ip("127.0.0.1", 0));
  Outcome outcome;
  Nursery nursery(*loop);
  nursery.spawn(serve(loop.get(), &server, listener->get(), &outcome));
  nursery.spawn([](this auto, Loop* l, TlsClient* tls, Endpoint to, std::string host, Nursery* all,
                   Outcome* out) -> Task<void> {
    out->client = co_await ask(l, tls, to, host);
    co_await l->sleep_for(20ms);  // lets the server's side see its end
    l->stop();
    (void)all;
  }(loop.get(), &client, (*listener)->local(), name, &nursery, &outcome));
  loop->run();
  return outcome;
}

TEST(Tls, CarriesBytesAndTheNameAsked) {
  const TlsIdentity identity = self_signed("gate.test");
  auto server = TlsServer::make({.identity = &identity});
  auto client = TlsClient::make({.extra_ca_pem = identity.certificate_pem, .system_roots = false});
  ASSERT_TRUE(server && client);
  const Outcome outcome = meet(**server, **client, "gate.test");
  ASSERT_TRUE(outcome.client) << outcome.client.error().message();
  EXPECT_EQ(*outcome.client, "pong");
  EXPECT_EQ(*outcome.server, "gate.test:ping");
}

TEST(Tls, ACertificateOfAnotherNameIsNotAccepted) {
  const TlsIdentity identity = self_signed("gate.test");
  auto server = TlsServer::make({.identity = &identity});
  auto client = TlsClient::make({.extra_ca_pem = identity.certificate_pem, .system_roots = false});
  const Outcome outcome = meet(**server, **client, "other.test");
  ASSERT_FALSE(outcome.client);
  EXPECT_EQ(outcome.client.error(), Error::kUpstream);
}

TEST(Tls, ACertificateOfAnotherTimeIsRefusedWithBothTimes) {
  constexpr long kDay = 24 * 3600;
  struct Case {
    long from_s;
    long until_s;
    const char* said;
  };
  for (const Case& times :
       {Case{kDay, 2 * kDay, "it begins at 2"}, Case{-2 * kDay, -kDay, "it ended at 2"}}) {
    const TlsIdentity identity = self_signed("gate.test", times.from_s, times.until_s);
    auto server = TlsServer::make({.identity = &identity});
    auto client =
        TlsClient::make({.extra_ca_pem = identity.certificate_pem, .system_roots = false});
    const Outcome outcome = meet(**server, **client, "gate.test");
    ASSERT_FALSE(outcome.client);
    EXPECT_EQ(outcome.client.error(), Error::kUpstream);
    const std::string& message = outcome.client.error().message();
    EXPECT_TRUE(message.contains(times.said)) << message;
    EXPECT_TRUE(message.contains("this machine's clock says 2")) << message;
    EXPECT_TRUE(message.contains("timedatectl")) << message;
  }
}

TEST(Tls, ACertificateOfAStrangerIsNotAccepted) {
  const TlsIdentity identity = self_signed("gate.test");
  const TlsIdentity stranger = self_signed("gate.test");
  auto server = TlsServer::make({.identity = &identity});
  auto client = TlsClient::make({.extra_ca_pem = stranger.certificate_pem, .system_roots = false});
  EXPECT_FALSE(meet(**server, **client, "gate.test").client);
}

TEST(Tls, AServerThatWantsAClientCertificateGetsOrRefuses) {
  const TlsIdentity identity = self_signed("gate.test");
  const TlsIdentity agent = self_signed("agent.test");
  auto server = TlsServer::make({.identity = &identity, .client_ca_pem = agent.certificate_pem});
  auto known = TlsClient::make(
      {.extra_ca_pem = identity.certificate_pem, .system_roots = false, .identity = &agent});
  auto unknown = TlsClient::make({.extra_ca_pem = identity.certificate_pem, .system_roots = false});
  ASSERT_TRUE(server && known && unknown);
  EXPECT_TRUE(meet(**server, **known, "gate.test").client);
  const Outcome refused = meet(**server, **unknown, "gate.test");
  ASSERT_FALSE(refused.client);
  EXPECT_TRUE(refused.client.error().message().contains("wants a client certificate"))
      << refused.client.error().message();
  const TlsIdentity stranger = self_signed("agent.test");
  auto other = TlsClient::make(
      {.extra_ca_pem = identity.certificate_pem, .system_roots = false, .identity = &stranger});
  const Outcome not_taken = meet(**server, **other, "gate.test");
  ASSERT_FALSE(not_taken.client);
  EXPECT_TRUE(not_taken.client.error().message().contains("does not take the client certificate"))
      << not_taken.client.error().message();
}

// What a client is known by: no authority, only that it has the key (RFC 8705 section 3).
TEST(Tls, AServerKnowsAnyClientByItsCertificateAndNoneWithout) {
  const TlsIdentity identity = self_signed("gate.test");
  const TlsIdentity agent = self_signed("agent.test");
  auto server = TlsServer::make({.identity = &identity, .any_client_certificate = true});
  auto known = TlsClient::make(
      {.extra_ca_pem = identity.certificate_pem, .system_roots = false, .identity = &agent});
  auto unknown = TlsClient::make({.extra_ca_pem = identity.certificate_pem, .system_roots = false});
  ASSERT_TRUE(server && known && unknown);
  std::string first;
  for (int i = 0; i < 2; ++i) {
    const Outcome outcome = meet(**server, **known, "gate.test");
    ASSERT_TRUE(outcome.client) << outcome.client.error().message();
    EXPECT_EQ(outcome.thumbprint.size(), 32u);
    if (i == 0) first = outcome.thumbprint;
    EXPECT_EQ(outcome.thumbprint, first) << "each connection shows it, and is not resumed";
  }
  EXPECT_FALSE(meet(**server, **unknown, "gate.test").client);
  const TlsIdentity other = self_signed("agent.test");
  auto second = TlsClient::make(
      {.extra_ca_pem = identity.certificate_pem, .system_roots = false, .identity = &other});
  const Outcome outcome = meet(**server, **second, "gate.test");
  ASSERT_TRUE(outcome.client);
  EXPECT_NE(outcome.thumbprint, first) << "the same name is not the same certificate";
}

Task<void> echo_inside(Loop* loop, std::unique_ptr<Stream> socket, TlsServer* outer,
                       TlsServer* inner) {
  auto around = co_await outer->accept(*loop, std::move(socket), loop->in(5s));
  if (!around) co_return;
  auto stream = co_await inner->accept(*loop, std::move(around->stream), loop->in(5s));
  if (!stream) co_return;
  std::array<char, 5000> buffer;
  while (true) {
    const auto got = co_await stream->stream->read(buffer, loop->in(5s));
    if (!got || *got == 0) break;
    if (!co_await stream->stream->write({buffer.data(), *got}, loop->in(5s))) break;
  }
  (void)co_await stream->stream->finish(loop->in(5s));
}

Task<Result<std::string>> ask_inside(Loop* loop, std::unique_ptr<Stream> socket, TlsClient* outer,
                                     TlsClient* inner, std::string sent) {
  auto around =
      CO_TRY(co_await outer->connect(*loop, std::move(socket), "gate.test", loop->in(5s)));
  auto stream = CO_TRY(co_await inner->connect(*loop, std::move(around), "far.test", loop->in(5s)));
  Nursery writing(*loop);
  writing.spawn([](this auto, Stream* to, const std::string* all, Loop* on) -> Task<void> {
    (void)co_await to->write(*all, on->in(5s));
    (void)co_await to->finish(on->in(5s));
  }(stream.get(), &sent, loop));
  std::string back;
  std::array<char, 7000> buffer;
  while (true) {
    const std::size_t got = CO_TRY(co_await stream->read(buffer, loop->in(5s)));
    if (got == 0) co_return back;
    back.append(buffer.data(), got);
  }
}

TEST(Tls, GoesThroughTlsBothWaysAtOnceUnderBackPressure) {
  const TlsIdentity near = self_signed("gate.test");
  const TlsIdentity far = self_signed("far.test");
  auto outer_server = TlsServer::make({.identity = &near});
  auto inner_server = TlsServer::make({.identity = &far});
  auto outer = TlsClient::make({.extra_ca_pem = near.certificate_pem, .system_roots = false});
  auto inner = TlsClient::make({.extra_ca_pem = far.certificate_pem, .system_roots = false});
  ASSERT_TRUE(outer_server && inner_server && outer && inner);
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    auto loop = make_sim_loop(seed);
    auto pair = make_socket_pair();
    Nursery serving(*loop);
    serving.spawn(echo_inside(loop.get(), std::move(*loop->adopt_stream(std::move(pair->second))),
                              outer_server->get(), inner_server->get()));
    const std::string sent(300'000, 'x');
    const auto back = loop->run_until_done(ask_inside(
        loop.get(), *loop->adopt_stream(std::move(pair->first)), outer->get(), inner->get(), sent));
    ASSERT_TRUE(back && *back) << (back ? back->error().message() : "it did not end");
    EXPECT_TRUE(**back == sent) << back->value().size();
  }
}

Task<Result<std::size_t>> read_after_cut(Loop* loop, std::unique_ptr<Stream> socket,
                                         TlsClient* outer, TlsClient* inner) {
  auto around =
      CO_TRY(co_await outer->connect(*loop, std::move(socket), "gate.test", loop->in(5s)));
  auto stream = CO_TRY(co_await inner->connect(*loop, std::move(around), "far.test", loop->in(5s)));
  CO_TRY(co_await stream->write("ping", loop->in(5s)));
  std::array<char, 100> buffer;
  co_return co_await stream->read(buffer, loop->in(5s));
}

TEST(Tls, AnEndOfTheOuterIsACutOfTheInner) {
  const TlsIdentity near = self_signed("gate.test");
  const TlsIdentity far = self_signed("far.test");
  auto outer_server = TlsServer::make({.identity = &near});
  auto inner_server = TlsServer::make({.identity = &far});
  auto outer = TlsClient::make({.extra_ca_pem = near.certificate_pem, .system_roots = false});
  auto inner = TlsClient::make({.extra_ca_pem = far.certificate_pem, .system_roots = false});
  auto loop = make_sim_loop(3);
  auto pair = make_socket_pair();
  Nursery serving(*loop);
  serving.spawn([](this auto, Loop* on, std::unique_ptr<Stream> socket, TlsServer* a,
                   TlsServer* b) -> Task<void> {
    auto around = co_await a->accept(*on, std::move(socket), on->in(5s));
    Stream* outside = around->stream.get();
    auto stream = co_await b->accept(*on, std::move(around->stream), on->in(5s));
    std::array<char, 100> buffer;
    (void)co_await stream->stream->read(buffer, on->in(5s));
    (void)co_await outside->finish(on->in(5s));  // in order, but not by who speaks inside
    co_await on->sleep_for(1s);
  }(loop.get(), *loop->adopt_stream(std::move(pair->second)), outer_server->get(),
                                 inner_server->get()));
  const auto got = loop->run_until_done(read_after_cut(
      loop.get(), *loop->adopt_stream(std::move(pair->first)), outer->get(), inner->get()));
  ASSERT_TRUE(got);
  ASSERT_FALSE(*got);
  EXPECT_EQ(got->error(), Error::kClosed);
}

TEST(Tls, APinnedCertificateIsTrustedWhoeverSignedIt) {
  const TlsIdentity authority = self_signed("authority.test");
  const TlsIdentity leaf = self_signed("gate.test", -60, 3600, &authority);
  auto server = TlsServer::make({.identity = &leaf});
  const auto answered = [&](bool pins) {
    auto client = TlsClient::make(
        {.extra_ca_pem = leaf.certificate_pem, .system_roots = false, .anchors_are_pins = pins});
    return meet(**server, **client, "gate.test").client.has_value();
  };
  EXPECT_TRUE(answered(true));
  EXPECT_FALSE(answered(false));
}

// A client that shakes hands, asks and is answered over a pair of sockets, and is cancelled.
struct CancelledClient {
  explicit CancelledClient(SimLoop& on) : loop(on), servers(on) {
    auto pair = make_socket_pair();
    ours = std::move(*on.adopt_stream(std::move(pair->first)));
    servers.spawn(answer(&on, std::move(*on.adopt_stream(std::move(pair->second)))));
  }
  static const TlsIdentity& identity() {
    static const TlsIdentity one = self_signed("gate.test");
    return one;
  }
  static Task<void> answer(Loop* on, std::unique_ptr<Stream> socket) {
    static const auto tls = TlsServer::make({.identity = &identity()});
    auto accepted = co_await (*tls)->accept(*on, std::move(socket), on->in(5s));
    if (!accepted) co_return;
    std::array<char, 5000> buffer;
    while (true) {
      const auto got = co_await accepted->stream->read(buffer, on->in(5s));
      if (!got || *got == 0) break;
      if (!co_await accepted->stream->write({buffer.data(), *got}, on->in(5s))) break;
    }
  }
  // More than the sockets hold, so that both sides wait for both directions.
  Task<void> act() {
    static const auto tls =
        TlsClient::make({.extra_ca_pem = identity().certificate_pem, .system_roots = false});
    auto stream = co_await (*tls)->connect(loop, std::move(ours), "gate.test", loop.in(5s));
    if (!stream) co_return;
    const std::string sent(300'000, 'x');
    std::string back;
    Nursery writing(loop);
    writing.spawn([](this auto, Stream* to, const std::string* all, Loop* on) -> Task<void> {
      (void)co_await to->write(*all, on->in(5s));
    }(stream->get(), &sent, &loop));
    std::array<char, 7000> buffer;
    while (back.size() < sent.size()) {
      const auto got = co_await (*stream)->read(buffer, loop.in(5s));
      if (!got || *got == 0) co_return;
      back.append(buffer.data(), *got);
    }
    is_whole = back == sent;
    (void)co_await writing.wait_empty(loop.in(5s));
    (void)co_await (*stream)->finish(loop.in(5s));
  }
  // The server has seen the end of it, whichever that was.
  void after() {
    ours.reset();
    loop.run_for(10s);
    EXPECT_EQ(servers.size(), 0u);
  }

  SimLoop& loop;
  std::unique_ptr<Stream> ours;
  bool is_whole = false;
  Nursery servers;
};

TEST(Tls, CancellingAtEveryAwaitPointLeavesNothing) {
  signal(SIGPIPE, SIG_IGN);  // as every role does: OpenSSL writes by write(2)
  std::uint64_t points = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    points += cancel_everywhere<CancelledClient>(seed);
  }
  std::printf("%llu points\n", static_cast<unsigned long long>(points));
  EXPECT_GE(points, 10u * 8u);
  auto loop = make_sim_loop(1);
  CancelledClient whole(*loop);
  loop->run_until_done([](this auto, CancelledClient* in) -> Task<int> {
    co_await in->act();
    co_return 0;
  }(&whole));
  EXPECT_TRUE(whole.is_whole) << "the story that was cancelled is one that works";
}

TEST(Resolver, AnswersLiteralsAndTheHostsFile) {
  auto loop = make_real_loop();
  auto resolver = Resolver::make(*loop);
  ASSERT_TRUE(resolver);
  Nursery nursery(*loop);
  Result<std::vector<Endpoint>> literal = failure(Error::kInternal, "did not run");
  Result<std::vector<Endpoint>> local = failure(Error::kInternal, "did not run");
  nursery.spawn([](this auto, Loop* l, Resolver* r, auto* a, auto* b) -> Task<void> {
    *a = co_await r->resolve("192.0.2.7", 80, l->in(5s));
    *b = co_await r->resolve("localhost", 443, l->in(5s));
    l->stop();
  }(loop.get(), resolver->get(), &literal, &local));
  loop->run();
  ASSERT_TRUE(literal && local);
  EXPECT_EQ(literal->front(), Endpoint::ip("192.0.2.7", 80));
  EXPECT_EQ(local->front(), Endpoint::ip("127.0.0.1", 443));
}

}  // namespace
}  // namespace gatehouse::net
