// SPDX-License-Identifier: Apache-2.0
// Spans on their way to a collector that does not behave, in virtual time.
#include "exporter/delivery.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "net/sim_loop.h"

namespace gatehouse::exporter {
namespace {

using net::Task;

constexpr std::string_view kTakes = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
constexpr std::string_view kHangs = "hangs";
constexpr std::string_view kCloses = "closes";
constexpr std::string_view kDrips = "drips";  // a byte a second

std::string answer_of(int status, std::string_view fields, std::string_view body) {
  return "HTTP/1.1 " + std::to_string(status) + " Said\r\n" + std::string(fields)
         + "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

class DeliveryTest : public testing::Test {
 protected:
  DeliveryTest() {
    auto listening = loop->listen(net::Endpoint::ip("127.0.0.1", 4318));
    if (!listening) return;
    listener = std::move(*listening);
    server.spawn(serve(this));
  }

  static Task<void> serve(DeliveryTest* test) {
    while (true) {
      auto stream = co_await test->listener->accept(Deadline::never());
      if (!stream) co_return;
      test->server.spawn(serve_one(test, std::move(*stream)));
    }
  }
  static Task<void> serve_one(DeliveryTest* test, std::unique_ptr<net::Stream> stream) {
    std::string request;
    std::array<char, 4096> buffer{};
    while (!request.ends_with("}]}]}")) {
      const auto got = co_await stream->read(buffer, test->loop->in(60s));
      if (!got || *got == 0) co_return;
      request.append(buffer.data(), *got);
    }
    test->requests.push_back(request);
    test->at.push_back(test->loop->now());
    std::string say(kTakes);
    if (!test->script.empty()) {
      say = test->script.front();
      test->script.pop_front();
    }
    if (say == kCloses) co_return;
    if (say == kHangs) co_await test->loop->sleep_for(std::chrono::hours(1));
    if (say == kDrips) {
      for (const char c : kTakes) {
        co_await test->loop->sleep_for(1s);
        if (!co_await stream->write(std::string(1, c), test->loop->in(5s))) co_return;
      }
      co_return;
    }
    (void)co_await stream->write(say, test->loop->in(5s));
    (void)co_await stream->finish(test->loop->in(5s));
  }

  [[nodiscard]] ipc::UseTelemetry telemetry() const {
    ipc::UseTelemetry use;
    use.url = url;
    use.allow_private = true;
    return use;
  }
  void run(Nanos span) { loop->run_for(span); }
  std::map<std::string, std::uint64_t> counted() {
    ipc::CounterList list;
    delivery.add_counters(list);
    std::map<std::string, std::uint64_t> all;
    for (const auto& counter : list.counters) all[counter.name] = counter.value;
    return all;
  }

  static Task<void> finish(DeliveryTest* test, Nanos most, Nanos* took) {
    const Instant began = test->loop->now();
    co_await test->delivery.finish(test->loop->in(most));
    *took = test->loop->now() - began;
  }
  // How long it took to finish.
  Nanos finished_within(Nanos most) {
    Nanos took = Nanos::max();
    server.spawn(finish(this, most, &took));
    run(2 * most);
    return took;
  }

  std::unique_ptr<net::SimLoop> loop = net::make_sim_loop(1);
  std::unique_ptr<net::Resolver> resolver = std::move(*net::Resolver::make(*loop));
  std::unique_ptr<net::Listener> listener;
  std::string url = "http://127.0.0.1:4318/v1/traces";
  std::deque<std::string> script;  // what the next requests are answered; then all are taken
  std::vector<std::string> requests;
  std::vector<Instant> at;
  net::Nursery server{*loop};
  Delivery delivery{*loop, *resolver};
};

TEST_F(DeliveryTest, SendsWhatComesTogetherInOneRequestWithItsHeaders) {
  ipc::UseTelemetry use = telemetry();
  use.headers = Secret("authorization: Bearer of-the-collector\r\n");
  use.resource = {{"deployment.environment.name", "test"}};
  delivery.use(std::move(use));
  for (const char* span : {R"({"name":"a"})", R"({"name":"b"})"}) delivery.take(span);
  run(5s);
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_TRUE(requests[0].starts_with("POST /v1/traces HTTP/1.1\r\n")) << requests[0];
  for (const char* part :
       {"\r\ncontent-type: application/json\r\n", "\r\nauthorization: Bearer of-the-collector\r\n",
        R"({"key":"service.name","value":{"stringValue":"gatehouse"}})",
        R"({"key":"deployment.environment.name","value":{"stringValue":"test"}})",
        R"("spans":[{"name":"a"},{"name":"b"}])"}) {
    EXPECT_TRUE(requests[0].contains(part)) << part << " is not in " << requests[0];
  }
  EXPECT_EQ(counted()["spans.sent"], 2u);
}

TEST_F(DeliveryTest, SendsAgainWhatCannotBeTakenNowAndLaterEachTime) {
  script = {answer_of(503, "", ""), answer_of(429, "", ""), std::string(kCloses),
            answer_of(502, "", ""), answer_of(504, "", "")};
  delivery.use(telemetry());
  delivery.take(R"({"name":"a"})");
  run(std::chrono::minutes(3));
  ASSERT_EQ(requests.size(), 6u);
  for (std::size_t i = 2; i < at.size(); ++i) {
    EXPECT_GT(at[i] - at[i - 1], at[i - 1] - at[i - 2]) << i;
    EXPECT_EQ(requests[i], requests[0]);
  }
  EXPECT_EQ(counted()["spans.sent"], 1u);
  EXPECT_EQ(counted()["posts.failed"], 5u);
}

TEST_F(DeliveryTest, WaitsAsLongAsItIsAskedTo) {
  script = {answer_of(503, "retry-after: 90\r\n", "")};
  delivery.use(telemetry());
  delivery.take(R"({"name":"a"})");
  run(std::chrono::minutes(3));
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_GE(at[1] - at[0], std::chrono::seconds(90));
  EXPECT_EQ(counted()["spans.sent"], 1u);
}

TEST_F(DeliveryTest, SendsWhatWaitsAtTheEndAndWaitsForNothingElse) {
  script = {answer_of(503, "retry-after: 90\r\n", "")};
  delivery.use(telemetry());
  delivery.take(R"({"name":"a"})");
  run(std::chrono::seconds(5));
  ASSERT_EQ(requests.size(), 1u) << "it was asked to wait";
  delivery.take(R"({"name":"b"})");
  EXPECT_LT(finished_within(std::chrono::seconds(2)), std::chrono::seconds(1));
  EXPECT_EQ(counted()["spans.sent"], 2u);
  EXPECT_EQ(counted()["spans.given_up"], 0u);
}

TEST_F(DeliveryTest, GivesUpAtTheEndWhatIsNotTakenInTime) {
  for (int i = 0; i < 60; ++i) script.push_back(answer_of(503, "", ""));
  delivery.use(telemetry());
  delivery.take(R"({"name":"a"})");
  EXPECT_EQ(finished_within(std::chrono::seconds(2)), std::chrono::seconds(2));
  EXPECT_GT(requests.size(), 5u);
  EXPECT_EQ(counted()["spans.given_up"], 1u);
}

TEST_F(DeliveryTest, NeverSendsAgainWhatWouldNeverBeTaken) {
  for (const int status : {400, 401, 404, 413, 500, 301}) {
    script = {answer_of(status, "location: http://127.0.0.1:1/\r\n", "")};
    const std::size_t before = requests.size();
    delivery.use(telemetry());
    delivery.take(R"({"name":"a"})");
    run(std::chrono::minutes(1));
    EXPECT_EQ(requests.size(), before + 1) << status;
  }
  EXPECT_EQ(counted()["spans.given_up"], 6u);
  EXPECT_EQ(counted()["spans.sent"], 0u);
}

TEST_F(DeliveryTest, CountsWhatACollectorRejectsOfARequestThatItTook) {
  script = {answer_of(200, "content-type: application/json\r\n",
                      R"({"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}})")};
  delivery.use(telemetry());
  for (int i = 0; i < 3; ++i) delivery.take(R"({"name":"a"})");
  run(10s);
  EXPECT_EQ(requests.size(), 1u);
  EXPECT_EQ(counted()["spans.sent"], 1u);
  EXPECT_EQ(counted()["spans.rejected"], 2u);
}

TEST_F(DeliveryTest, OutwaitsACollectorThatHangsOrDrips) {
  script = {std::string(kHangs), std::string(kDrips)};
  delivery.use(telemetry());
  delivery.take(R"({"name":"a"})");
  run(std::chrono::minutes(2));
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(counted()["spans.sent"], 1u);
  EXPECT_EQ(counted()["posts.failed"], 2u);
}

TEST_F(DeliveryTest, GivesABatchUpAfterFiveMinutesAndGoesOn) {
  script.assign(40, answer_of(503, "", ""));
  delivery.use(telemetry());
  delivery.take(R"({"name":"a"})");
  run(std::chrono::minutes(7));
  EXPECT_EQ(counted()["spans.given_up"], 1u);
  script.clear();
  delivery.take(R"({"name":"b"})");
  run(10s);
  EXPECT_EQ(counted()["spans.sent"], 1u);
}

TEST_F(DeliveryTest, KeepsSoMuchForACollectorThatIsAwayAndDropsTheRest) {
  listener.reset();
  delivery.use(telemetry());
  const std::string span = R"({"name":")" + std::string(64 * 1024, 'x') + R"("})";
  const std::size_t fit = Delivery::kWaitingMost / span.size();
  for (std::size_t i = 0; i < fit + 5; ++i) delivery.take(span);
  EXPECT_EQ(counted()["spans.dropped"], 5u);
  EXPECT_EQ(counted()["spans.waiting"], fit);
}

TEST_F(DeliveryTest, ABatchIsBoundedInCount) {
  delivery.use(telemetry());
  for (std::size_t i = 0; i < Delivery::kBatchMost + 1; ++i) delivery.take(R"({"name":"a"})");
  run(10s);
  EXPECT_EQ(requests.size(), 2u);
  EXPECT_EQ(counted()["spans.sent"], Delivery::kBatchMost + 1);
}

TEST_F(DeliveryTest, GoesToNoPrivateAddressUnlessThatIsAllowed) {
  ipc::UseTelemetry use = telemetry();
  use.allow_private = false;
  delivery.use(std::move(use));
  delivery.take(R"({"name":"a"})");
  run(30s);
  EXPECT_EQ(requests.size(), 0u);
  EXPECT_GT(counted()["posts.failed"], 0u);
}

TEST_F(DeliveryTest, ASecretGoesInTheClearToLoopbackOnly) {
  ipc::UseTelemetry use = telemetry();
  use.url = "http://192.0.2.1:4318/v1/traces";
  use.headers = Secret("authorization: Bearer of-the-collector\r\n");
  delivery.use(std::move(use));
  delivery.take(R"({"name":"a"})");
  run(5s);
  EXPECT_GT(counted()["posts.failed"], 0u);
}

TEST_F(DeliveryTest, WithoutACollectorNothingIsKept) {
  delivery.take(R"({"name":"a"})");
  delivery.use(telemetry());
  delivery.take(R"({"name":"b"})");
  delivery.use({});
  run(10s);
  EXPECT_EQ(requests.size(), 0u);
  EXPECT_EQ(counted()["spans.waiting"], 0u);
}

}  // namespace
}  // namespace gatehouse::exporter
