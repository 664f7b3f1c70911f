// SPDX-License-Identifier: Apache-2.0
// Bytes of a client, in one piece and in many: nothing is read out of bounds, what comes of them is
// bounded, and each request is told of once, before its body.
#include <cstring>
#include <map>

#include "base/check.h"
#include "wire/http2.h"

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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes =
      std::string(wire::kHttp2Preface) + std::string(reinterpret_cast<const char*>(data), size);
  drive(bytes, bytes.size());
  drive(bytes, 7);
  return 0;
}
