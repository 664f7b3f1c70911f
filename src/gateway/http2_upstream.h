// SPDX-License-Identifier: Apache-2.0
// Http2Link: a connection of HTTP/2 to an upstream and the exchanges that are under way on it at
// the same time. Of its Loop's thread. What is kept of an exchange is bounded both ways: by the
// stream's window of what came and is not taken, and by who sends waiting until it has gone.
//
// It keeps itself alive and ends by itself: without an exchange after 55 s, when the upstream says
// that it goes and the last exchange is over, when it answers a PING no more. PING is sent into
// silence only, and seldom enough for servers that count them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "gateway/client.h"
#include "gateway/upstream.h"
#include "net/nursery.h"
#include "wire/http2_client.h"

namespace gatehouse::gateway {

class Http2Upstream;

class Http2Link final : public wire::Http2ClientHandler {
 public:
  static constexpr Nanos kIdleFor = std::chrono::seconds(55);      // without an exchange
  static constexpr Nanos kSilenceMost = std::chrono::seconds(60);  // then there is a PING
  static constexpr Nanos kPongMost = std::chrono::seconds(20);     // and then an end
  static constexpr int kPingsMost = 3;                             // in one silence

  Http2Link(net::Loop& loop, std::unique_ptr<net::Stream> stream);
  ~Http2Link() override;
  Http2Link(const Http2Link&) = delete;
  Http2Link& operator=(const Http2Link&) = delete;

  // Whether another exchange may begin here now.
  [[nodiscard]] bool has_room() const;
  [[nodiscard]] bool is_over() const { return is_over_; }
  [[nodiscard]] bool is_idle() const { return exchanges_ == 0; }
  // An exchange on `link`, which has room.
  [[nodiscard]] static std::unique_ptr<UpstreamExchange> begin(std::shared_ptr<Http2Link> link);

 private:
  friend class Http2Upstream;
  void on_answer(std::int32_t id, Result<wire::ResponseHead> head, bool ended) override;
  void on_body(std::int32_t id, std::string_view payload) override;
  void on_end(std::int32_t id, wire::Headers trailers) override;
  void on_close(std::int32_t id, wire::Http2Ending ending) override;
  Pulled on_pull(std::int32_t id, char* into, std::size_t room, wire::Headers& trailers) override;

  [[nodiscard]] Http2Upstream* find(std::int32_t id) const;
  void enter();                 // an exchange that is made
  void leave(std::int32_t id);  // and one that is destroyed
  void wake_writer() { output_.set(); }
  void heard();

  static net::Task<void> read_all(Http2Link* self);
  static net::Task<void> write_all(Http2Link* self);
  [[nodiscard]] Deadline next_look() const;
  [[nodiscard]] bool may_wait_on();
  [[nodiscard]] bool gather();
  void forget_written();
  void end(std::string why);

  net::Loop& loop_;
  std::unique_ptr<net::Stream> stream_;
  Inbox inbox_;
  wire::Http2Client session_;
  std::map<std::int32_t, Http2Upstream*> streams_;  // whose exchange is there
  std::size_t exchanges_ = 0;                       // also such that have no stream yet
  bool has_carried_ = false;
  bool is_over_ = false;
  std::string bytes_;  // that are written now
  bool holds_secret_ = false;
  bool is_writing_ = false;
  Instant quiet_since_;  // when there was an exchange last, or the first began
  Instant heard_at_;
  bool is_asked_ = false;  // a PING is not answered yet
  int pings_left_ = kPingsMost;
  net::Event output_;  // there may be something to be sent
  net::Nursery writer_;
  net::Nursery reader_;
};

}  // namespace gatehouse::gateway
