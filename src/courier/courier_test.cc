// SPDX-License-Identifier: Apache-2.0
// The courier against a small HTTP server on loopback that answers as it is told to.
#include "courier/courier.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/cancel_everywhere.h"
#include "net/nursery.h"
#include "net/real_loop.h"

namespace gatehouse::courier {
namespace {

using net::Task;

constexpr std::size_t kBodyMost = 48 * 1024;  // ipc::Posted

std::string answer_of(std::string_view status, std::string_view fields, std::string_view body) {
  return "HTTP/1.1 " + std::string(status) + "\r\n" + std::string(fields)
         + "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

class CourierTest : public testing::Test {
 protected:
  CourierTest() {
    auto listening = loop->listen(net::Endpoint::ip("127.0.0.1", 0));
    if (!listening) return;
    listener = std::move(*listening);
    port = std::to_string(listener->local().port);
    url = "http://127.0.0.1:" + port + "/token";
    server.spawn(serve(this));
  }

  // Takes every request, whole, and answers each with `answer`.
  static Task<void> serve(CourierTest* test) {
    for (;;) {
      auto stream = co_await test->listener->accept(Deadline::never());
      if (!stream) co_return;
      ++test->connections;
      std::string request;
      std::array<char, 4096> buffer;
      const auto whole = [&] {
        return request.ends_with("the-form") || request.ends_with("close\r\n\r\n")
               || (request.starts_with("CONNECT ") && request.ends_with("\r\n\r\n"));
      };
      while (!whole()) {
        const auto got = co_await (*stream)->read(buffer, test->loop->in(5s));
        if (!got || *got == 0) break;
        request.append(buffer.data(), *got);
      }
      test->requests.push_back(request);
      (void)co_await (*stream)->write(test->answer, test->loop->in(5s));
      (void)co_await (*stream)->finish(test->loop->in(5s));
    }
  }

  template <class T>
  T run(Task<T> task) {
    std::optional<T> out;
    net::Nursery nursery(*loop);
    nursery.spawn([](this auto, net::Loop* l, Task<T> t, std::optional<T>* o) -> Task<void> {
      o->emplace(co_await std::move(t));
      l->stop();
    }(loop.get(), std::move(task), &out));
    loop->run();
    return std::move(*out);
  }

  Result<ipc::Done> publish(const std::string& endpoint, bool allow_private) {
    ipc::PublishEndpoints request;
    request.endpoints.push_back({endpoint, "", allow_private});
    return run(courier.publish(std::move(request)));
  }

  Result<ipc::Posted> post(const std::string& to) {
    return run(courier.post(
        {to, Secret("code=the-form"), Secret("Basic Y2xpZW50"), "00-trace-of-the-run-01"}));
  }

  std::unique_ptr<net::Loop> loop = net::make_real_loop();
  std::unique_ptr<net::Resolver> resolver = std::move(*net::Resolver::make(*loop));
  Courier courier{*loop, *resolver};
  std::unique_ptr<net::Listener> listener;
  std::string port;
  std::string url;
  std::string answer = answer_of("200 OK", "", R"({"access_token":"at"})");
  int connections = 0;
  std::vector<std::string> requests;
  net::Nursery server{*loop};
};

TEST_F(CourierTest, BringsTheFormThereAndTheAnswerBack) {
  ASSERT_TRUE(publish(url, true));
  const auto posted = post(url);
  ASSERT_TRUE(posted) << posted.error().message();
  EXPECT_EQ(posted->status, 200);
  EXPECT_EQ(posted->body.open(Purpose::kCompare), R"({"access_token":"at"})");
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_TRUE(requests[0].starts_with("POST /token HTTP/1.1\r\n")) << requests[0];
  for (const char* line : {"host: 127.0.0.1:", "content-type: application/x-www-form-urlencoded",
                           "authorization: Basic Y2xpZW50", "traceparent: 00-trace-of-the-run-01",
                           "content-length: 13\r\n", "\r\n\r\ncode=the-form"}) {
    EXPECT_TRUE(requests[0].contains(line)) << line << " is not in " << requests[0];
  }
}

TEST_F(CourierTest, GoesToRegisteredEndpointsOnly) {
  ASSERT_TRUE(publish(url, true));
  for (const std::string& other : {url + "/", url + "?a=b", "http://localhost:" + port + "/token",
                                   "http://127.0.0.1:" + port + "/revoke", std::string()}) {
    const auto posted = post(other);
    ASSERT_FALSE(posted) << other;
    EXPECT_EQ(posted.error(), Error::kDenied) << other;
  }
  ASSERT_TRUE(publish("https://as.test/token", false));
  EXPECT_FALSE(post(url)) << "a list replaces the one before";
  EXPECT_EQ(connections, 0);
}

TEST_F(CourierTest, GoesThroughTheHousesProxyAndIsSurelyNotSentWhereThatRefuses) {
  ipc::PublishEndpoints request;
  request.endpoints.push_back({"https://as.test/token", "", false});
  request.network.proxy_host = "127.0.0.1";
  request.network.proxy_port = listener->local().port;
  request.network.proxy_resolves = true;
  request.network.proxy_wants_credentials = true;
  request.proxy_authorization = Secret("Basic Y2FuYXJ5");
  ASSERT_TRUE(run(courier.publish(std::move(request))));
  answer = answer_of("407 Proxy Authentication Required", "", "");
  const auto posted = post("https://as.test/token");
  ASSERT_FALSE(posted);
  EXPECT_EQ(posted.error(), Error::kUnreachable);
  EXPECT_FALSE(posted.error().message().contains("Y2FuYXJ5"));
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0],
            "CONNECT as.test:443 HTTP/1.1\r\nhost: as.test:443\r\n"
            "proxy-authorization: Basic Y2FuYXJ5\r\n\r\n");
}

TEST_F(CourierTest, FollowsNoRedirect) {
  for (const char* status : {"301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect",
                             "308 Permanent Redirect"}) {
    answer = answer_of(status, "location: http://127.0.0.1:" + port + "/elsewhere\r\n", "");
    ASSERT_TRUE(publish(url, true));
    connections = 0;
    const auto posted = post(url);
    ASSERT_TRUE(posted) << posted.error().message();
    EXPECT_EQ(posted->status, std::atoi(status)) << "it is an answer like another";
    EXPECT_EQ(connections, 1) << status;
  }
  for (const std::string& request : requests) EXPECT_FALSE(request.contains("elsewhere"));
}

TEST_F(CourierTest, GoesToNoPrivateAddressUnlessThatIsAllowed) {
  for (const std::string& place :
       {"https://127.0.0.1:" + port + "/token", "https://localhost:" + port + "/token",
        std::string("https://10.0.0.1/token"), std::string("https://[::ffff:10.0.0.1]/token")}) {
    ASSERT_TRUE(publish(place, false)) << place;
    const auto posted = post(place);
    ASSERT_FALSE(posted) << place;
    EXPECT_EQ(posted.error(), Error::kDenied) << place << ": " << posted.error().message();
  }
  EXPECT_EQ(connections, 0);
}

TEST_F(CourierTest, GoesToNoLinkLocalAddressWhateverIsAllowed) {
  for (const std::string place : {"https://169.254.169.254/token", "https://[fe80::1]/token",
                                  "https://0.0.0.0/token", "https://224.0.0.1/token"}) {
    ASSERT_TRUE(publish(place, true)) << place;
    const auto posted = post(place);
    ASSERT_FALSE(posted) << place;
    EXPECT_EQ(posted.error(), Error::kDenied) << place << ": " << posted.error().message();
  }
}

TEST_F(CourierTest, SendsNothingInTheClearButToAllowedLoopback) {
  EXPECT_FALSE(publish(url, false));
  EXPECT_FALSE(publish("http://10.0.0.1/token", true));
  EXPECT_FALSE(publish("http://as.test/token", true));
  EXPECT_FALSE(post(url)) << "what is refused registers nothing";
  EXPECT_EQ(connections, 0);
}

TEST_F(CourierTest, FetchesADocumentAndSendsNothing) {
  answer = answer_of("200 OK", "", R"({"keys":[]})");
  const auto fetched = run(courier.fetch({{url, "", true}}));
  ASSERT_TRUE(fetched) << fetched.error().message();
  EXPECT_EQ(fetched->status, 200);
  EXPECT_EQ(fetched->body, R"({"keys":[]})");
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_TRUE(requests[0].starts_with("GET /token HTTP/1.1\r\n"));
  EXPECT_TRUE(requests[0].ends_with("\r\n\r\n"));
  EXPECT_FALSE(requests[0].contains("authorization"));
}

TEST_F(CourierTest, FetchesFromNoPrivateAddressAndNothingInTheClearUnlessThatIsAllowed) {
  const std::string secure = "https://127.0.0.1:" + port + "/jwks";
  EXPECT_EQ(run(courier.fetch({{secure, "", false}})).error(), Error::kDenied);
  EXPECT_EQ(run(courier.fetch({{url, "", false}})).error(), Error::kInvalid);
  EXPECT_EQ(run(courier.fetch({{"http://login.example/jwks", "", true}})).error(), Error::kInvalid);
  EXPECT_EQ(run(courier.fetch({{"https://169.254.169.254/jwks", "", true}})).error(),
            Error::kDenied);
  answer = answer_of("302 Found", "location: https://other.example/\r\n", "");
  const auto moved = run(courier.fetch({{url, "", true}}));
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->status, 302) << "which is not followed";
  answer = answer_of("200 OK", "", std::string(kBodyMost + 1, 'x'));
  EXPECT_EQ(run(courier.fetch({{url, "", true}})).error(), Error::kUpstream);
}

TEST_F(CourierTest, BoundsTheAnswer) {
  ASSERT_TRUE(publish(url, true));
  answer = answer_of("200 OK", "", std::string(kBodyMost, 'x'));
  const auto whole = post(url);
  ASSERT_TRUE(whole) << whole.error().message();
  EXPECT_EQ(whole->body.size(), kBodyMost);
  const std::string more(kBodyMost + 1, 'x');
  const std::string endless = "HTTP/1.1 200 OK\r\n\r\n" + more;
  const std::string chunked =
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nc001\r\n" + more + "\r\n0\r\n\r\n";
  for (const std::string& text : {answer_of("200 OK", "", more), endless, chunked}) {
    answer = text;
    const auto posted = post(url);
    ASSERT_FALSE(posted);
    EXPECT_EQ(posted.error(), Error::kUpstream) << posted.error().message();
  }
}

TEST_F(CourierTest, AnAnswerThatBreaksOffIsNone) {
  ASSERT_TRUE(publish(url, true));
  for (const char* text : {"", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",
                           "SSH-2.0-OpenSSH_9.2\r\n"}) {
    answer = text;
    const auto posted = post(url);
    ASSERT_FALSE(posted) << text;
    EXPECT_EQ(posted.error(), Error::kUpstream) << posted.error().message();
  }
}

TEST_F(CourierTest, WhereNobodyListensNothingWasSent) {
  server.cancel_all();
  listener.reset();
  ASSERT_TRUE(publish(url, true));
  const auto posted = post(url);
  ASSERT_FALSE(posted);
  EXPECT_EQ(posted.error(), Error::kUnreachable);
}

// One that asks for a token and goes away, on virtual time; the courier stays.
struct CancelledPost {
  explicit CancelledPost(net::SimLoop& on) : loop(on), server(on) {
    listener = std::move(*on.listen(net::Endpoint::ip("127.0.0.1", 80)));
    server.spawn(serve(this));
    ipc::PublishEndpoints request;
    request.endpoints.push_back({url, "", true});
    EXPECT_TRUE(on.run_until_done(courier.publish(std::move(request))));
  }
  static Task<void> serve(CancelledPost* world) {
    while (auto stream = co_await world->listener->accept(Deadline::never())) {
      std::string request;
      std::array<char, 4096> buffer;
      while (!request.ends_with("the-form")) {
        const auto got = co_await (*stream)->read(buffer, world->loop.in(5s));
        if (!got || *got == 0) break;
        request.append(buffer.data(), *got);
      }
      (void)co_await (*stream)->write(answer_of("200 OK", "", R"({"access_token":"at"})"),
                                      world->loop.in(5s));
    }
  }
  Task<Result<ipc::Posted>> post() {
    return courier.post({url, Secret("code=the-form"), Secret("Basic Y2xpZW50"), "00-t-01"});
  }
  Task<void> act() { (void)co_await post(); }
  void after() {
    const auto posted = loop.run_until_done(post());
    ASSERT_TRUE(posted && *posted);
    EXPECT_EQ((*posted)->status, 200);
  }

  const std::string url = "http://127.0.0.1/token";
  net::SimLoop& loop;
  std::unique_ptr<net::Resolver> resolver = std::move(*net::Resolver::make(loop));
  Courier courier{loop, *resolver};
  std::unique_ptr<net::Listener> listener;
  net::Nursery server;
};

TEST(Courier, CancellingAtEveryAwaitPointLeavesNothing) {
  std::uint64_t points = 0;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    points += net::cancel_everywhere<CancelledPost>(seed);
  }
  std::printf("%llu points\n", static_cast<unsigned long long>(points));
  EXPECT_GE(points, 30u * 4u);
}

}  // namespace
}  // namespace gatehouse::courier
