// SPDX-License-Identifier: Apache-2.0
// Bytes of a server, in one piece and in many: nothing is read out of bounds, what comes of them is
// bounded and the same however they come, and each answer is told of once, before its body, and not
// after its stream's end.
#include <cstring>
#include <map>

#include "base/check.h"
#include "wire/http2_client.h"

namespace {

using namespace gatehouse;

constexpr int kRequests = 3;

class Asker : public wire::Http2ClientHandler {
 public:
  void on_answer(std::int32_t stream, Result<wire::ResponseHead> head, bool) override {
    CHECK(is_open(stream));
    told += std::to_string(stream);
    if (!head) {
      told += " is malformed\n";
      return;
    }
    CHECK(head->headers.size() <= wire::kMaxHeaders && head->status != 101);
    told += " answers " + std::to_string(head->status) + "\n";
    for (const wire::Header field : head->headers) {
      told.append(field.name).append(":").append(field.value).append("\n");
    }
    if (head->status < 200) return;
    CHECK(!bodies.contains(stream));
    bodies[stream];
  }
  void on_body(std::int32_t stream, std::string_view payload) override {
    CHECK(is_open(stream) && bodies.contains(stream));
    bodies[stream] += payload;
    CHECK(bodies[stream].size() <= wire::kHttp2AnswerWindow);  // nothing was taken
  }
  void on_end(std::int32_t stream, wire::Headers trailers) override {
    CHECK(is_open(stream) && trailers.size() <= wire::kMaxHeaders);
    told +=
        std::to_string(stream) + " has ended, trailers " + std::to_string(trailers.size()) + "\n";
  }
  void on_close(std::int32_t stream, wire::Http2Ending ending) override {
    CHECK(is_open(stream) && !ending.why.empty());
    // Who has answered has begun.
    CHECK(!ending.was_not_processed || !bodies.contains(stream));
    closed[stream] = true;
  }
  Pulled on_pull(std::int32_t, char* into, std::size_t room, wire::Headers&) override {
    CHECK(room >= 2);
    std::memcpy(into, "ok", 2);
    return {Pulled::What::kEnd, 2};
  }

  void ask() {
    for (int i = 0; i < kRequests; ++i) {
      wire::RequestHead head;
      head.method = i == 1 ? "POST" : i == 2 ? "HEAD" : "GET";
      head.target = "/";
      head.headers.add("host", "a.test");
      if (i == 1) head.framing = {wire::BodyFraming::Kind::kChunked, 0};
      CHECK(connection.request(head, "https", {"authorization", "secret"}));
    }
    send();
  }
  void send() {
    std::string out;
    while (out.size() < (1U << 20) && connection.append_output(out).is_any) {
    }
  }
  // Whether it goes on.
  bool hear(std::string_view bytes) { return connection.feed(bytes, Instant{}).has_value(); }

  std::string told;
  std::map<std::int32_t, std::string> bodies;  // of those that are answered
  std::map<std::int32_t, bool> closed;
  wire::Http2Client connection{*this};

 private:
  [[nodiscard]] bool is_open(std::int32_t stream) const {
    return stream % 2 == 1 && stream < 2 * kRequests && !closed.contains(stream);
  }
};

// Answering what comes, as a link does.
void drive(std::string_view bytes, std::size_t piece) {
  Asker asker;
  asker.ask();
  while (!bytes.empty()) {
    const std::string_view now = bytes.substr(0, piece);
    bytes.remove_prefix(now.size());
    const bool goes_on = asker.hear(now);
    asker.send();
    if (!goes_on || asker.connection.is_over()) return;
  }
}

void listen(Asker& to, std::string_view bytes, std::size_t piece) {
  to.ask();
  while (!bytes.empty()) {
    const std::string_view now = bytes.substr(0, piece);
    bytes.remove_prefix(now.size());
    if (!to.hear(now)) return;
  }
}

bool is_beginning(std::string_view of, std::string_view other) {
  return of.starts_with(other) || other.starts_with(of);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A server begins with SETTINGS.
  const std::string bytes =
      std::string("\0\0\0\4\0\0\0\0\0", 9) + std::string(reinterpret_cast<const char*>(data), size);
  drive(bytes, bytes.size());
  drive(bytes, 7);
  Asker whole;
  Asker split;
  listen(whole, bytes, bytes.size());
  listen(split, bytes, 1 + size % 7);
  // As of http2_fuzz: how far the last one gets may differ.
  CHECK(is_beginning(whole.told, split.told));
  for (const auto& [stream, body] : whole.bodies) {
    if (split.bodies.contains(stream)) CHECK(is_beginning(body, split.bodies[stream]));
  }
  return 0;
}
