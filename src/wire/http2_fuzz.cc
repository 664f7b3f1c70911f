// SPDX-License-Identifier: Apache-2.0
// Bytes of a client, in one piece and in many: nothing is read out of bounds, what comes of them is
// bounded and the same however they come, and each request is told of once, before its body.
#include <cstring>
#include <map>

#include "base/check.h"
#include "wire/http2.h"
#include "wire/websocket.h"

namespace {

using namespace gatehouse;

class Server : public wire::Http2Handler {
 public:
  void on_request(std::int32_t stream, Result<wire::RequestHead> head) override {
    CHECK(!open_.contains(stream));
    CHECK(open_.size() <= wire::kHttp2StreamsMost);
    open_[stream] = 0;
    wire::ResponseHead answer;
    answer.status = head ? 200 : 400;
    (void)connection.answer(stream, answer, true);
  }
  void on_body(std::int32_t stream, std::string_view payload) override {
    CHECK(open_.contains(stream));
    CHECK((open_[stream] += payload.size()) <= wire::kHttp2StreamWindow);  // nothing was taken
  }
  void on_end(std::int32_t stream, wire::Headers trailers) override {
    CHECK(open_.contains(stream) && trailers.size() <= wire::kMaxHeaders);
  }
  void on_close(std::int32_t stream, std::uint32_t) override { open_.erase(stream); }
  Pulled on_pull(std::int32_t, char* into, std::size_t room, wire::Headers&) override {
    CHECK(room >= 2);
    std::memcpy(into, "ok", 2);
    return {Pulled::What::kEnd, 2};
  }

  wire::Http2Server connection{*this};

 private:
  std::map<std::int32_t, std::size_t> open_;
};

// What is told of a client that nobody answers, in order, with each stream's body as one.
class Listener : public wire::Http2Handler {
 public:
  void on_request(std::int32_t stream, Result<wire::RequestHead> head) override {
    told += std::to_string(stream);
    told += head ? " asks " + head->method + " " + head->target + "\n" : " is malformed\n";
    if (!head) return;
    // A tunnel is to a place alone; a WebSocket is told with a key that is one, or none.
    CHECK((head->method == "CONNECT") == (head->form == wire::TargetForm::kAuthority));
    CHECK(!wire::asks_for_websocket(*head) || !head->headers.find("sec-websocket-key")
          || wire::has_websocket_key(head->headers));
    for (const wire::Header field : head->headers) {
      told.append(field.name).append(":").append(field.value).append("\n");
    }
  }
  void on_body(std::int32_t stream, std::string_view payload) override {
    bodies[stream] += payload;
  }
  void on_end(std::int32_t stream, wire::Headers trailers) override {
    told +=
        std::to_string(stream) + " has ended, trailers " + std::to_string(trailers.size()) + "\n";
  }
  void on_close(std::int32_t, std::uint32_t) override {}
  Pulled on_pull(std::int32_t, char*, std::size_t, wire::Headers&) override {
    return {Pulled::What::kNothingYet, 0};
  }

  std::string told;
  std::map<std::int32_t, std::string> bodies;
  wire::Http2Server connection{*this};
};

void listen(Listener& to, std::string_view bytes, std::size_t piece) {
  while (!bytes.empty()) {
    const std::string_view now = bytes.substr(0, piece);
    bytes.remove_prefix(now.size());
    if (!to.connection.feed(now, Instant{})) return;
  }
}

void drive(std::string_view bytes, std::size_t piece) {
  Server server;
  while (!bytes.empty()) {
    const std::string_view now = bytes.substr(0, piece);
    bytes.remove_prefix(now.size());
    const bool goes_on = server.connection.feed(now, Instant{}).has_value();
    std::size_t sent = 0;
    while (sent < (1U << 20)) {
      const std::string_view out = server.connection.next_output();
      if (out.empty()) break;
      sent += out.size();
    }
    if (!goes_on || server.connection.is_over()) return;
  }
}

bool is_beginning(std::string_view of, std::string_view other) {
  return of.starts_with(other) || other.starts_with(of);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes =
      std::string(wire::kHttp2Preface) + std::string(reinterpret_cast<const char*>(data), size);
  drive(bytes, bytes.size());
  drive(bytes, 7);
  Listener whole;
  Listener split;
  listen(whole, bytes, bytes.size());
  listen(split, bytes, 1 + size % 7);
  // The same requests, whatever the reads. How far the last one gets may differ: nghttp2 passes
  // over the rest of a read that breaks the connection, and counts reads of a CONTINUATION for
  // frames.
  CHECK(is_beginning(whole.told, split.told));
  for (const auto& [stream, body] : whole.bodies) CHECK(is_beginning(body, split.bodies[stream]));
  return 0;
}
