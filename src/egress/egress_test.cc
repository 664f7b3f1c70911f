// SPDX-License-Identifier: Apache-2.0
// Dialer against a proxy on loopback that answers as it is told to.
#include "egress/egress.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>

#include "net/nursery.h"
#include "net/real_loop.h"

namespace gatehouse::egress {
namespace {

using net::Task;

constexpr std::string_view kOpened = "HTTP/1.1 200 Connection established\r\n\r\n";
constexpr std::string_view kPublic = "93.184.216.34";

class EgressTest : public testing::Test {
 protected:
  EgressTest() {
    listener = std::move(*loop->listen(net::Endpoint::ip("127.0.0.1", 0)));
    network.proxy_host = "127.0.0.1";
    network.proxy_port = listener->local().port;
    egress.use(network);
    proxy.spawn(serve(this));
  }

  // Answers each request with the next of `answers`, or the last one; then echoes one word.
  static Task<void> serve(EgressTest* test) {
    for (;;) {
      auto stream = co_await test->listener->accept(Deadline::never());
      if (!stream) co_return;
      std::string request;
      std::array<char, 4096> buffer;
      while (!request.ends_with("\r\n\r\n")) {
        const auto got = co_await (*stream)->read(buffer, test->loop->in(5s));
        if (!got || *got == 0) break;
        request.append(buffer.data(), *got);
      }
      test->requests.push_back(request);
      const std::size_t at = std::min(test->requests.size(), test->answers.size()) - 1;
      (void)co_await (*stream)->write(test->answers[at], test->loop->in(5s));
      const auto word = co_await (*stream)->read(buffer, test->loop->in(5s));
      if (word && *word > 0)
        (void)co_await (*stream)->write({buffer.data(), *word}, test->loop->in(5s));
    }
  }

  Result<std::string> dial(Target to) {
    std::optional<Result<std::string>> out;
    net::Nursery nursery(*loop);
    nursery.spawn([](this auto, EgressTest* test, Target target,
                     std::optional<Result<std::string>>* into) -> Task<void> {
      into->emplace(co_await echo(test, std::move(target)));
      test->loop->stop();
    }(this, std::move(to), &out));
    loop->run();
    return std::move(*out);
  }
  static Task<Result<std::string>> echo(EgressTest* test, Target target) {
    const Deadline deadline = test->loop->in(5s);
    const Dialled dialled = CO_TRY(co_await test->egress.dial(std::move(target), deadline));
    net::Stream* stream = dialled.stream.get();
    CO_TRY(co_await stream->write("word", deadline));
    std::array<char, 16> buffer{};
    const std::size_t got = CO_TRY(co_await stream->read(buffer, deadline));
    co_return std::string(buffer.data(), got);
  }

  std::unique_ptr<net::Loop> loop = net::make_real_loop();
  std::unique_ptr<net::Resolver> resolver = std::move(*net::Resolver::make(*loop));
  Dialer egress{*loop, *resolver};
  ipc::NetworkSpec network;
  std::unique_ptr<net::Listener> listener;
  std::vector<std::string> answers{std::string(kOpened)};
  std::vector<std::string> requests;
  net::Nursery proxy{*loop};
};

TEST_F(EgressTest, AsksTheProxyForTheCheckedAddressAndSpeaksThroughIt) {
  const auto word = dial({std::string(kPublic), 443});
  ASSERT_TRUE(word) << word.error().message();
  EXPECT_EQ(*word, "word");
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0], "CONNECT 93.184.216.34:443 HTTP/1.1\r\nhost: 93.184.216.34:443\r\n\r\n");
}

TEST_F(EgressTest, AnAddressOfIpv6IsAskedForInBrackets) {
  ASSERT_TRUE(dial({"2606:4700::1111", 443}));
  EXPECT_TRUE(requests[0].starts_with("CONNECT [2606:4700::1111]:443 HTTP/1.1\r\n"));
}

TEST_F(EgressTest, AsksForNamesWhereTheProxyResolves) {
  network.proxy_resolves = true;
  egress.use(network);
  ASSERT_TRUE(dial({"nowhere.example.com", 443}));
  EXPECT_TRUE(requests[0].starts_with("CONNECT nowhere.example.com:443 HTTP/1.1\r\n"));
}

TEST_F(EgressTest, TheProxyIsNotAskedForWhatMayNotBeDialled) {
  for (const bool resolves : {false, true}) {
    network.proxy_resolves = resolves;
    egress.use(network);
    for (const char* host : {"10.1.2.3", "169.254.169.254", "fd00::1", "100.64.0.1"}) {
      const auto word = dial({host, 443});
      ASSERT_FALSE(word) << host;
      EXPECT_EQ(word.error(), Error::kDenied) << host;
    }
    EXPECT_EQ(dial({"169.254.169.254", 80, false, "", true}).error(), Error::kDenied);
  }
  EXPECT_TRUE(requests.empty());
  ASSERT_TRUE(dial({"10.1.2.3", 443, false, "", true})) << "but for what the operator allows";
  EXPECT_TRUE(requests[0].starts_with("CONNECT 10.1.2.3:443"));
}

TEST_F(EgressTest, ShowsTheProxyItsCredentialsAndNothingPassesBeforeTheyHaveCome) {
  network.proxy_wants_credentials = true;
  egress.use(network);
  EXPECT_EQ(dial({std::string(kPublic), 443}).error(), Error::kUnreachable);
  EXPECT_TRUE(requests.empty());
  egress.use_credentials(Secret("Basic Y2FuYXJ5"), ipc::proxy_of(network));
  ASSERT_TRUE(dial({std::string(kPublic), 443}));
  EXPECT_TRUE(requests[0].ends_with("\r\nproxy-authorization: Basic Y2FuYXJ5\r\n\r\n"));
}

TEST_F(EgressTest, CredentialsAreShownToTheProxyThatTheyAreForAlone) {
  network.proxy_wants_credentials = true;
  egress.use(network);
  egress.use_credentials(Secret("Basic Zmlyc3Q"), ipc::proxy_of(network));
  egress.use_credentials(Secret("Basic c2Vjb25k"), "next.example.com:3128");
  ASSERT_TRUE(dial({std::string(kPublic), 443})) << "the one before goes on with its own";
  EXPECT_TRUE(requests[0].ends_with("Basic Zmlyc3Q\r\n\r\n"));
  egress.use_credentials(Secret("Basic dGhpcmQ"), "third.example.com:3128");
  EXPECT_EQ(dial({std::string(kPublic), 443}).error(), Error::kUnreachable);
  EXPECT_EQ(requests.size(), 1U) << "another's are not shown to it";
  egress.use_credentials(Secret("Basic bmV3"), ipc::proxy_of(network));
  ASSERT_TRUE(dial({std::string(kPublic), 443}));
  EXPECT_TRUE(requests[1].ends_with("Basic bmV3\r\n\r\n"));
}

TEST_F(EgressTest, ARefusalSaysWhatToDoAndShowsNoCredential) {
  answers = {
      "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n"
      "content-length: 0\r\n\r\n"};
  const auto asked = dial({std::string(kPublic), 443});
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error(), Error::kUnreachable);
  EXPECT_TRUE(asked.error().message().contains("wants credentials (407)"));
  network.proxy_wants_credentials = true;
  egress.use(network);
  egress.use_credentials(Secret("Basic Y2FuYXJ5"), ipc::proxy_of(network));
  const auto refused = dial({std::string(kPublic), 443});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message().contains("does not take the credentials (407)"));
  EXPECT_FALSE(refused.error().message().contains("Y2FuYXJ5"));
  answers = {"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"};
  EXPECT_TRUE(dial({std::string(kPublic), 443}).error().message().contains("it answers 403"));
}

TEST_F(EgressTest, WhatIsNoCleanAnswerOpensNothing) {
  for (const std::string& answer :
       {std::string(kOpened) + "early", std::string("HTTP/1.1 200 OK\n\n"),
        std::string("SSH-2.0-server\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nx: ") + std::string(100'000, 'x') + "\r\n\r\n"}) {
    answers = {answer};
    const auto word = dial({std::string(kPublic), 443});
    ASSERT_FALSE(word) << answer.substr(0, 40);
    EXPECT_EQ(word.error(), Error::kUnreachable);
  }
}

TEST_F(EgressTest, InterimAnswersAreNotTheAnswerAndAreBounded) {
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
  answers = {interim + interim + std::string(kOpened)};
  EXPECT_TRUE(dial({std::string(kPublic), 443}));
  answers = {interim + interim + interim + interim + interim + interim + std::string(kOpened)};
  EXPECT_FALSE(dial({std::string(kPublic), 443}));
}

TEST_F(EgressTest, WhatIsNamedIsDialledWithoutTheProxy) {
  // Loopback is this machine's, whatever the proxy: the "upstream" is the same small server.
  ASSERT_FALSE(dial({"127.0.0.1", network.proxy_port, false, "", false}));
  network.no_proxy = {"*.corp.example", "build.example", "10.0.0.0/8", "fd00::/8"};
  for (const char* host : {"a.corp.example", "a.b.corp.example", "build.example", "10.255.0.1",
                           "fd12::1", "localhost", "::1", "127.0.0.1"}) {
    EXPECT_TRUE(ipc::is_direct(network, host)) << host;
  }
  for (const char* host : {"corp.example", "evilcorp.example", "x.build.example", "11.0.0.1",
                           "fe12::1", "93.184.216.34", "10.corp.test"}) {
    EXPECT_FALSE(ipc::is_direct(network, host)) << host;
  }
  EXPECT_TRUE(ipc::is_direct({}, "93.184.216.34")) << "where there is no proxy";
}

}  // namespace
}  // namespace gatehouse::egress
