// SPDX-License-Identifier: Apache-2.0
// What the client's side says, and how large it is. How it takes what a server says is shown with
// the link that it is for (gateway/http2_upstream_test.cc).
#include "wire/http2_client.h"

#include <gtest/gtest.h>

#include <cstring>

namespace gatehouse::wire {
namespace {

class Quiet : public Http2ClientHandler {
 public:
  void on_answer(std::int32_t, Result<ResponseHead>, bool) override {}
  void on_body(std::int32_t, std::string_view) override {}
  void on_end(std::int32_t, Headers) override {}
  void on_close(std::int32_t, Http2Ending) override {}
  Pulled on_pull(std::int32_t, char* into, std::size_t, Headers&) override {
    std::memcpy(into, "body", 4);
    return {Pulled::What::kEnd, 4};
  }
};

RequestHead request() {
  RequestHead head;
  head.method = "GET";
  head.target = "/a";
  head.headers.add("host", "up.test");
  head.headers.add("x-of-one-run", "a value that another must not find");
  return head;
}

std::string sent(Http2Client& client) {
  std::string out;
  while (client.append_output(out).is_any) {
  }
  return out;
}

TEST(Http2Client, BeginsWithItsPrefaceAndWithoutPush) {
  Quiet handler;
  Http2Client client(handler);
  const std::string out = sent(client);
  EXPECT_TRUE(out.starts_with(kHttp2Preface));
  EXPECT_TRUE(out.contains(std::string("\0\2\0\0\0\0", 6))) << "SETTINGS_ENABLE_PUSH: 0";
}

TEST(Http2Client, KeepsNoFieldOfOneRequestForAnother) {
  Quiet handler;
  Http2Client client(handler);
  (void)sent(client);
  std::size_t first = 0;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(client.request(request(), "https", {"authorization", "Bearer secret"}));
    const std::size_t size = sent(client).size();
    // The first says too that the table has no room.
    if (i == 1) first = size;
    if (i > 1) EXPECT_EQ(size, first) << "what was sent once makes nothing shorter";
  }
}

TEST(Http2Client, SaysWhichOutputMayHoldASecret) {
  Quiet handler;
  Http2Client client(handler);
  (void)sent(client);
  RequestHead head = request();
  head.framing = {BodyFraming::Kind::kLength, 4};
  ASSERT_TRUE(client.request(head, "https", {"authorization", "Bearer secret"}));
  std::string out;
  EXPECT_TRUE(client.append_output(out).may_be_secret);
  EXPECT_FALSE(client.append_output(out).may_be_secret) << "the body";
  EXPECT_TRUE(out.ends_with("body"));
  EXPECT_FALSE(client.append_output(out).is_any);
}

TEST(Http2Client, WritesNothingThatWouldBreakAHead) {
  Quiet handler;
  Http2Client client(handler);
  const auto refuses = [&](auto change, Http2Secret secret = {}) {
    RequestHead head = request();
    change(head);
    const auto made = client.request(head, "https", secret);
    return !made && made.error() == Error::kInvalid;
  };
  EXPECT_TRUE(refuses([](RequestHead& head) { head.method = "GET /"; }));
  EXPECT_TRUE(refuses([](RequestHead& head) { head.method = "CONNECT"; }));
  EXPECT_TRUE(refuses([](RequestHead& head) { head.target = "/a\r\nb"; }));
  EXPECT_TRUE(refuses([](RequestHead& head) { head.target = "http://other.test/"; }));
  EXPECT_TRUE(refuses([](RequestHead& head) { head.headers.add("x-a", "b\r\nc: d"); }));
  EXPECT_TRUE(refuses([](RequestHead&) {}, {"authorization", "a\nb"}));
  EXPECT_FALSE(refuses([](RequestHead&) {}));
}

}  // namespace
}  // namespace gatehouse::wire
