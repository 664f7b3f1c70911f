// SPDX-License-Identifier: Apache-2.0
// The forwarder between an agent and a gateway that the test plays, all in one loop.
#include "cli/forwarder.h"

#include <gtest/gtest.h>

#include <csignal>

#include "base/encoding.h"
#include "cli/client_key.h"
#include "net/real_loop.h"
#include "net/test_identity.h"

namespace gatehouse::cli {
namespace {

using net::Task;

// What comes until the end, or a cut.
Task<std::string> read_all(net::Stream* stream, net::Loop* loop) {
  std::string all;
  std::array<char, 4096> bytes;
  while (true) {
    const auto got = co_await stream->read(bytes, loop->in(10s));
    if (!got) co_return all + "<cut>";
    if (*got == 0) co_return all;
    all.append(bytes.data(), *got);
  }
}

class ForwarderTest : public testing::Test {
 protected:
  ForwarderTest() {
    signal(SIGPIPE, SIG_IGN);
    identity = net::identity_of({.name = "IP:127.0.0.1"});
    ClientKey key = *make_client_key();
    thumbprint = key.thumbprint;
    server = *net::TlsServer::make({.identity = &identity, .any_client_certificate = true});
    listener = *loop->listen(net::Endpoint::ip("127.0.0.1", 0));
    forwarder.emplace(*loop, std::move(key.identity));
    EXPECT_TRUE(forwarder->open());
    renew("token-1");
    serving.spawn(serve(this));
  }
  void renew(const std::string& token) {
    EXPECT_TRUE(forwarder->use({listener->local().text(), identity.certificate_pem}, Secret(token),
                               loop->now() + std::chrono::minutes(5)));
  }
  // With what is so by then.
  static Task<void> renew_when_refused(ForwarderTest* self) {
    co_await self->forwarder->until_refused(Deadline::never());
    self->renew("token-2");
  }
  // The gateway: takes a head (and more, while `more` of it is missing), answers with the next
  // answer; then what comes is said back, line by line, until the end.
  static Task<void> serve(ForwarderTest* self) {
    while (true) {
      auto socket = co_await self->listener->accept(Deadline::never());
      self->serving.spawn(serve_one(self, std::move(*socket)));
    }
  }
  static Task<void> serve_one(ForwarderTest* self, std::unique_ptr<net::Stream> socket) {
    auto accepted =
        co_await self->server->accept(*self->loop, std::move(socket), self->loop->in(5s));
    if (!accepted) co_return;
    EXPECT_EQ(accepted->client_certificate_sha256, self->thumbprint);
    std::string come;
    std::array<char, 4096> bytes;
    while (!come.contains("\r\n\r\n") || !come.contains(self->wanted)) {
      const auto got = co_await accepted->stream->read(bytes, self->loop->in(10s));
      if (!got || *got == 0) co_return;
      come.append(bytes.data(), *got);
    }
    self->seen.push_back(come);
    const std::string answer =
        self->answers.at(std::min(self->seen.size(), self->answers.size()) - 1);
    (void)co_await accepted->stream->write(answer, self->loop->in(5s));
    if (self->cuts) co_return accepted->stream->close_with_reset();
    while (self->echoes) {
      const auto got = co_await accepted->stream->read(bytes, self->loop->in(10s));
      if (!got || *got == 0) break;
      (void)co_await accepted->stream->write({bytes.data(), *got}, self->loop->in(5s));
    }
    (void)co_await accepted->stream->finish(self->loop->in(5s));
    co_await self->loop->sleep_for(1s);
  }

  // What the agent gets for this; it ends its side after `said`.
  std::string ask(const std::string& text, const std::string& said = "") {
    std::string got;
    net::Nursery agents(*loop);
    agents.spawn([](this auto, ForwarderTest* self, std::string send, std::string then,
                    std::string* into) -> Task<void> {
      const std::string url = self->forwarder->url();
      const auto port = static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
      auto stream =
          co_await self->loop->connect(net::Endpoint::ip("127.0.0.1", port), self->loop->in(5s));
      (void)co_await (*stream)->write(send, self->loop->in(5s));
      if (!then.empty()) {
        std::array<char, 100> head;
        *into = std::string(head.data(), *co_await (*stream)->read(head, self->loop->in(10s)));
        (void)co_await (*stream)->write(then, self->loop->in(5s));
        (void)co_await (*stream)->finish(self->loop->in(5s));
      }
      *into += co_await read_all(stream->get(), self->loop.get());
      self->loop->stop();
    }(this, text, said, &got));
    loop->run();
    return got;
  }
  [[nodiscard]] std::string credential() const {
    const std::string url = forwarder->url();
    const std::size_t from = url.find("//") + 2;
    return "proxy-authorization: Basic " + to_base64(url.substr(from, url.find('@') - from))
           + "\r\n";
  }
  [[nodiscard]] std::string get() const {
    return "GET http://a.example/ HTTP/1.1\r\nhost: a.example\r\n" + credential() + "\r\n";
  }
  [[nodiscard]] std::string websocket() const {
    return "GET http://a.example/ HTTP/1.1\r\nhost: a.example\r\n" + credential()
           + "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
             "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  }
  [[nodiscard]] std::string connect() const {
    return "CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\n" + credential() + "\r\n";
  }

  std::unique_ptr<net::Loop> loop = net::make_real_loop();
  net::TlsIdentity identity;
  std::unique_ptr<net::TlsServer> server;
  std::string thumbprint;
  std::unique_ptr<net::Listener> listener;
  std::vector<std::string> seen;  // what gateways got
  std::string wanted;             // that a request holds when it is whole
  std::vector<std::string> answers = {"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"};
  bool cuts = false;
  bool echoes = false;
  net::Nursery serving{*loop};
  std::optional<Forwarder> forwarder;
};

TEST_F(ForwarderTest, TakesThePasswordOutAndPutsTheTokenIn) {
  EXPECT_EQ(ask(get()), answers.front());
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_TRUE(seen.front().contains("Bearer token-1")) << seen.front();
  EXPECT_FALSE(seen.front().contains("Basic"));
  EXPECT_TRUE(seen.front().starts_with("GET http://a.example/ HTTP/1.1\r\n"));
}

TEST_F(ForwarderTest, ServesNobodyWithoutItsPassword) {
  for (const std::string& said : std::vector<std::string>{
           "", "proxy-authorization: Basic cnVuOndyb25n\r\n", credential() + credential(),
           "proxy-authorization: Bearer token-1\r\n", "authorization" + credential().substr(19)}) {
    const std::string answer =
        ask("GET http://a.example/ HTTP/1.1\r\nhost: a.example\r\n" + said + "\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 407 ")) << said << answer;
    EXPECT_TRUE(answer.contains("proxy-authenticate: Basic"));
  }
  EXPECT_TRUE(ask("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(seen.empty()) << "no gateway hears of it";
}

TEST_F(ForwarderTest, PassesABodyOnWholeAndATunnelBothWays) {
  wanted = "0\r\n\r\n";
  const std::string body = "4\r\nabcd\r\n0\r\n\r\n";
  EXPECT_EQ(ask("POST http://a.example/ HTTP/1.1\r\nhost: a.example\r\n" + credential()
                + "transfer-encoding: chunked\r\n\r\n" + body),
            answers.front());
  EXPECT_TRUE(seen.front().ends_with("\r\n\r\n" + body)) << seen.front();
  wanted.clear();
  echoes = true;
  answers = {"HTTP/1.1 200 Connection established\r\n\r\n"};
  const std::string many(200'000, 'x');
  EXPECT_EQ(ask(connect(), many), answers.front() + many);
}

TEST_F(ForwarderTest, AWebSocketIsPassedOnFromItsAnswerOn) {
  const std::string asked = websocket();
  echoes = true;
  answers = {"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n"};
  const std::string frames = "\x81\x85no head at all\r\n\r\n";
  EXPECT_EQ(ask(asked, frames), answers.back() + frames);
  EXPECT_TRUE(seen.back().contains("Bearer token-1"));
  // One that is refused leaves a connection for requests, each of which shows who asks.
  answers = {"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"};
  EXPECT_TRUE(ask(asked, get()).contains("Bearer token-1"));
  EXPECT_FALSE(ask(asked, "GET http://b.example/ HTTP/1.1\r\nhost: b\r\n\r\n").contains("GET"));
  EXPECT_TRUE(ask(asked, asked).ends_with("<cut>")) << "its answer would be among others";
}

TEST_F(ForwarderTest, WhatAnUpstreamAnswersToAWebSocketIsNoWordOfTheGateways) {
  answers = {"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"};
  EXPECT_EQ(ask(websocket()), answers.front());
  EXPECT_EQ(seen.size(), 1U) << "it is not sent again";
}

TEST_F(ForwarderTest, BehindATunnelThatIsRefusedThePasswordIsTakenOutToo) {
  echoes = true;
  answers = {"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"};
  const std::string echoed = ask(connect(), get());
  EXPECT_TRUE(echoed.contains("Bearer token-1")) << echoed;
  EXPECT_FALSE(echoed.contains("Basic"));
}

TEST_F(ForwarderTest, ACutIsNoEnd) {
  cuts = true;
  answers = {"HTTP/1.1 200 OK\r\n\r\nhalf of it"};
  EXPECT_TRUE(ask(get()).ends_with("<cut>"));
}

TEST_F(ForwarderTest, ATunnelThatIsNotLetInIsAskedForAgainWithAnotherToken) {
  echoes = true;
  answers = {"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
             "HTTP/1.1 200 Connection established\r\n\r\n"};
  serving.spawn(renew_when_refused(this));
  EXPECT_EQ(ask(connect(), "hello"), answers.back() + "hello");
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_TRUE(seen.back().contains("Bearer token-2"));
}

TEST_F(ForwarderTest, AGatewayWithAnotherCertificateIsAskedForFirstAndElseNotTrusted) {
  identity = net::identity_of({.name = "IP:127.0.0.1"});
  server = *net::TlsServer::make({.identity = &identity, .any_client_certificate = true});
  serving.spawn(renew_when_refused(this));
  EXPECT_EQ(ask(get()), answers.front());
  const net::TlsIdentity stranger = net::identity_of({.name = "IP:127.0.0.1"});
  server = *net::TlsServer::make({.identity = &stranger, .any_client_certificate = true});
  forwarder->give_up({Error::kDenied, "the run is over"});
  seen.clear();
  EXPECT_TRUE(ask(get()).starts_with("HTTP/1.1 502 "));
  EXPECT_TRUE(seen.empty());
}

TEST_F(ForwarderTest, GatewaysThatAreElsewhereAreAskedForAndFound) {
  auto elsewhere = *loop->listen(net::Endpoint::ip("127.0.0.1", 0));
  serving.cancel_all();
  listener = std::move(elsewhere);
  serving.spawn(serve(this));
  serving.spawn(renew_when_refused(this));
  EXPECT_EQ(ask(get()), answers.front());
  ASSERT_EQ(seen.size(), 1U);
}

TEST_F(ForwarderTest, WithoutATokenItSaysWhy) {
  EXPECT_TRUE(forwarder->use({listener->local().text(), identity.certificate_pem},
                             Secret("token-1"), loop->now()));
  forwarder->give_up({Error::kDenied, "the run is over: user bob is no more"});
  const std::string answer = ask(get());
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 403 ")) << answer;
  EXPECT_TRUE(answer.contains("user bob is no more"));
  EXPECT_TRUE(seen.empty());
}

TEST_F(ForwarderTest, HoldsSoManyConnectionsAndNoMore) {
  const std::string url = forwarder->url();
  const auto port = static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
  std::size_t kept = 0;
  net::Nursery agents(*loop);
  agents.spawn([](this auto, net::Loop* on, std::uint16_t at, std::size_t* count) -> Task<void> {
    std::vector<std::unique_ptr<net::Stream>> held;
    for (std::size_t i = 0; i < Forwarder::kConnectionsMost + 10; ++i) {
      auto stream = co_await on->connect(net::Endpoint::ip("127.0.0.1", at), on->in(5s));
      if (stream) held.push_back(std::move(*stream));
    }
    // One that is cut shows at once or in a while.
    for (int tries = 0; tries < 1000 && held.size() > Forwarder::kConnectionsMost; ++tries) {
      co_await on->sleep_for(10ms);
      std::erase_if(held, [](const auto& stream) { return !stream->is_quiet(); });
    }
    *count = held.size();
    on->stop();
  }(loop.get(), port, &kept));
  loop->run();
  EXPECT_EQ(kept, Forwarder::kConnectionsMost);
}

}  // namespace
}  // namespace gatehouse::cli
