// SPDX-License-Identifier: Apache-2.0
// One stream of an agent's connection of HTTP/2: what is between its session and whoever serves it;
// and the same as plain bytes both ways, for what is no HTTP any more: a tunnel (RFC 9113 section
// 8.5), a WebSocket (RFC 8441). Of the gateway's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "net/nursery.h"
#include "net/stream.h"
#include "wire/http2.h"

namespace gatehouse::gateway {

struct Http2Stream;

// A connection, as its streams see it.
class Http2Streams {
 public:
  Http2Streams() = default;
  Http2Streams(const Http2Streams&) = delete;
  Http2Streams& operator=(const Http2Streams&) = delete;
  virtual ~Http2Streams() = default;
  // Errors: kInvalid, kClosed.
  [[nodiscard]] virtual Result<void> answer(std::int32_t id, const wire::ResponseHead& head,
                                            bool has_body) = 0;
  // So much of what came is taken: as much may come again.
  virtual void taken(std::int32_t id, std::size_t count) = 0;
  // There is something to send of it.
  virtual void resume(std::int32_t id) = 0;
  // Nobody serves it any more. What waits in it goes out, then its end where that was said, then a
  // reset by that code where one of its sides has not ended.
  virtual void let_go(Http2Stream& stream, wire::Http2Code code) = 0;
};

struct Http2Stream {
  Http2Stream(net::Loop& loop, Http2Streams& of, std::int32_t number)
      : connection(&of), id(number), came(loop), went(loop) {}
  Http2Streams* connection;  // null once that has ended
  std::int32_t id;
  // In: not more than its window, which opens again with what is taken.
  std::string in;
  bool in_whole = false;
  wire::Headers in_trailers;
  net::Event came;
  // Out: what was flushed is pulled by the session.
  std::string out;
  std::size_t out_at = 0;  // so much of it was pulled
  bool out_ends = false;
  bool out_ended = false;
  wire::Headers out_trailers;
  net::Event went;
  bool is_over = false;     // reset, or the connection has ended
  bool is_watched = false;  // its end ends the Exchange at once
  bool is_raw = false;      // it is a Http2Bytes: of no Exchange of the connection's
  bool is_let_go = false;   // by that
  wire::Http2Code last = wire::Http2Code::kNone;  // how it is reset then
  net::Nursery::Child* exchange = nullptr;

  [[nodiscard]] std::size_t waiting() const { return out.size() - out_at; }
};

class Http2Bytes final : public net::Stream {
 public:
  static constexpr std::size_t kWaitingMost = 64 * 1024;  // of what is not pulled

  // `when_reset` is what a reset says.
  Http2Bytes(std::shared_ptr<Http2Stream> stream, wire::Http2Code when_reset)
      : stream_(std::move(stream)), when_reset_(when_reset) {
    stream_->is_raw = true;
    stream_->is_watched = false;
  }
  Http2Bytes(const Http2Bytes&) = delete;
  Http2Bytes& operator=(const Http2Bytes&) = delete;
  // Our side ends behind what waits, if it has not; or there is a reset.
  ~Http2Bytes() override;

  [[nodiscard]] net::Task<Result<std::size_t>> read(std::span<char> into, Deadline) override;
  [[nodiscard]] net::Task<Result<void>> write(std::string_view bytes, Deadline) override;
  [[nodiscard]] net::Task<Result<void>> finish(Deadline) override;
  [[nodiscard]] net::Task<Result<void>> wait_readable(Deadline) override;
  [[nodiscard]] net::Task<Result<void>> wait_writable(Deadline) override;
  [[nodiscard]] bool is_quiet() override {
    return stream_->in.empty() && !stream_->in_whole && !stream_->is_over;
  }
  [[nodiscard]] std::size_t read_now(std::span<char> into) override;
  [[nodiscard]] std::size_t peek_now(std::span<char> into) override;
  [[nodiscard]] std::size_t write_now(std::string_view bytes) override;
  [[nodiscard]] bool is_over() const override {
    return stream_->is_over || (stream_->in_whole && stream_->in.empty());
  }
  void close_with_reset() override { is_reset_ = true; }

 private:
  [[nodiscard]] bool can_read() const {
    return !stream_->in.empty() || stream_->in_whole || stream_->is_over;
  }
  void end();
  [[nodiscard]] static Failure over() {
    return failure(Error::kClosed, "the agent has reset the stream");
  }

  std::shared_ptr<Http2Stream> stream_;
  wire::Http2Code when_reset_;
  bool is_reset_ = false;
};

}  // namespace gatehouse::gateway
