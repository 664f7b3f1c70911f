// SPDX-License-Identifier: Apache-2.0
// Which connections exchanges share, with a server in TLS on loopback that answers every request.
#include "gateway/upstream.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstring>

#include "net/nursery.h"
#include "net/real_loop.h"
#include "net/test_identity.h"
#include "wire/http2.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

// A connection of HTTP/2 on which everything is answered.
class Served : public wire::Http2Handler {
 public:
  void on_request(std::int32_t stream, Result<wire::RequestHead>) override {
    wire::ResponseHead head;
    head.status = 200;
    EXPECT_TRUE(session.answer(stream, head, true));
  }
  void on_body(std::int32_t, std::string_view) override {}
  void on_end(std::int32_t, wire::Headers) override {}
  void on_close(std::int32_t, std::uint32_t) override {}
  Pulled on_pull(std::int32_t, char* into, std::size_t, wire::Headers&) override {
    std::memcpy(into, "ok", 2);
    return {Pulled::What::kEnd, 2};
  }
  wire::Http2Server session{*this};
};

class UpstreamsTest : public testing::Test {
 public:
  UpstreamsTest() {
    signal(SIGPIPE, SIG_IGN);  // as every role does: OpenSSL writes by write(2)
    to.host = "127.0.0.1";
    to.port = listener->local().port;
    to.tls = to.allow_private = to.http2 = true;
    to.ca_pem = identity.certificate_pem;
  }
  void serve(net::TlsServer::Options options = {.http2 = true}) {
    options.identity = &identity;
    tls = std::move(*net::TlsServer::make(options));
    tasks.spawn(accept_all(this));
  }
  static Task<void> accept_all(UpstreamsTest* test) {
    while (true) {
      auto socket = co_await test->listener->accept(Deadline::never());
      if (socket) test->tasks.spawn(serve_one(test, std::move(*socket)));
    }
  }
  static Task<void> serve_one(UpstreamsTest* test, std::unique_ptr<net::Stream> socket) {
    auto accepted = co_await test->tls->accept(*test->loop, std::move(socket), test->loop->in(10s));
    if (!accepted) co_return;
    ++test->connections;
    test->shown.push_back(accepted->client_certificate_sha256);
    if (!accepted->speaks_http2) {
      (void)co_await accepted->stream->wait_readable(test->loop->in(10s));
      (void)co_await accepted->stream->write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                                             test->loop->in(10s));
      co_await test->loop->sleep_for(10s);
    }
    Served served;
    std::array<char, 16384> buffer{};
    while (!test->goes) {
      for (std::string_view out = served.session.next_output(); !out.empty();
           out = served.session.next_output()) {
        if (!co_await accepted->stream->write(out, test->loop->in(10s))) co_return;
      }
      const auto got = co_await accepted->stream->read(buffer, test->loop->in(10s));
      if (!got || *got == 0) co_return;
      if (!served.session.feed({buffer.data(), *got}, test->loop->now())) co_return;
    }
  }

  Task<bool> ask(Upstreams::Reuse reuse = Upstreams::Reuse::kAllowed) {
    auto exchange = co_await upstreams.begin(to, reuse, loop->in(10s));
    if (!exchange) co_return false;
    wire::RequestHead head;
    head.method = "GET";
    head.target = "/";
    head.headers.add("host", "up.test");
    if (!(*exchange)->begin(std::move(head), {})) co_return false;
    if (!co_await (*exchange)->request().finish("", {}, loop->in(10s))) co_return false;
    while (true) {
      if (!(co_await (*exchange)->answer().more(loop->in(10s))).value_or(false)) co_return false;
      const auto answer = (*exchange)->head();
      if (!answer) co_return false;
      if (*answer) co_return (*answer)->response.status == 200;
    }
  }
  // So many at once.
  Task<void> ask_all(int count) {
    net::Nursery asking(*loop);
    for (int i = 0; i < count; ++i) {
      asking.spawn([](this auto, UpstreamsTest* test) -> Task<void> {
        EXPECT_TRUE(co_await test->ask());
      }(this));
    }
    EXPECT_TRUE(co_await asking.wait_empty(loop->in(20s)));
  }
  void tell(Task<void> story) {
    net::Nursery telling(*loop);
    telling.spawn([](this auto, UpstreamsTest* test, Task<void> all) -> Task<void> {
      co_await std::move(all);
      test->loop->stop();
    }(this, std::move(story)));
    loop->run();
  }

  std::unique_ptr<net::Loop> loop = net::make_real_loop();
  std::unique_ptr<net::Resolver> resolver = std::move(*net::Resolver::make(*loop));
  net::TlsIdentity identity = net::identity_of({"IP:127.0.0.1", "up.test"});
  std::unique_ptr<net::Listener> listener =
      std::move(*loop->listen(net::Endpoint::ip("127.0.0.1", 0)));
  std::unique_ptr<net::TlsServer> tls;
  Destination to;
  Upstreams upstreams{*loop, *resolver};
  int connections = 0;
  std::vector<std::string> shown;  // certificates of clients
  bool goes = false;               // ends each connection with its next request
  net::Nursery tasks{*loop};
};

TEST_F(UpstreamsTest, ExchangesShareAConnection) {
  serve();
  tell([](UpstreamsTest* t) -> Task<void> {
    EXPECT_EQ(t->upstreams.speaks_http2(t->to), std::nullopt) << "nobody knows";
    EXPECT_TRUE(co_await t->ask());
    EXPECT_EQ(t->upstreams.speaks_http2(t->to), true);
    co_await t->ask_all(50);
    EXPECT_EQ(t->connections, 1);
    EXPECT_EQ(t->upstreams.links(), 1U);
    EXPECT_TRUE(co_await t->ask(Upstreams::Reuse::kNever));
    EXPECT_EQ(t->connections, 2) << "but who wants one of its own gets it";
  }(this));
}

TEST_F(UpstreamsTest, WhoComesWhileOneIsDialledWaitsForIt) {
  serve();
  tell([](UpstreamsTest* t) -> Task<void> {
    EXPECT_TRUE(co_await t->ask());
    t->goes = true;
    (void)co_await t->ask();  // it may be answered yet
    while (t->upstreams.links() > 0) co_await t->loop->sleep_for(1ms);
    t->goes = false;
    const int before = t->connections;
    co_await t->ask_all(50);
    EXPECT_EQ(t->connections, before + 1);
  }(this));
}

TEST_F(UpstreamsTest, AnUpstreamOfHttp1IsKnownAsThat) {
  serve({.http2 = false});
  tell([](UpstreamsTest* t) -> Task<void> {
    EXPECT_TRUE(co_await t->ask());
    EXPECT_EQ(t->upstreams.speaks_http2(t->to), false);
    t->to.http2 = false;
    EXPECT_EQ(t->upstreams.speaks_http2(t->to), false) << "whatever it could";
  }(this));
}

TEST_F(UpstreamsTest, AConnectionIsForOneIdentity) {
  serve({.any_client_certificate = true, .http2 = true});
  tell([](UpstreamsTest* t) -> Task<void> {
    ipc::ServiceSpec service;
    service.tenant = "t";
    service.name = "s";
    service.shows_certificate = true;
    EXPECT_EQ(t->upstreams.destination_of(service).error(), Error::kUnreachable);
    EXPECT_FALSE(t->upstreams.use(ipc::UseClientIdentity{"t", "s", "no PEM", Secret("no PEM")}));
    EXPECT_FALSE(t->upstreams.destination_of(service)) << "nothing goes without one";
    for (int i = 0; i < 2; ++i) {
      net::TlsIdentity own = net::identity_of({"DNS:own.test", "own.test"});
      const std::string certificate = own.certificate_pem;
      const Secret key = own.private_key_pem.duplicate(Purpose::kTransport);
      for (int times = 0; times < 2; ++times) {  // told again it is the same
        EXPECT_TRUE(t->upstreams.use(
            ipc::UseClientIdentity{"t", "s", certificate, key.duplicate(Purpose::kTransport)}));
        t->to.identity = t->upstreams.destination_of(service)->identity;
        EXPECT_TRUE(co_await t->ask());
      }
    }
    EXPECT_EQ(t->connections, 2);
    EXPECT_EQ(t->shown.size(), 2U);
    EXPECT_NE(t->shown.front(), t->shown.back());
    t->upstreams.keep_identities({});
    EXPECT_FALSE(t->upstreams.destination_of(service)) << "forgotten with its service";
  }(this));
}

}  // namespace
}  // namespace gatehouse::gateway
