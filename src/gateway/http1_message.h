// SPDX-License-Identifier: Apache-2.0
// Bodies of HTTP/1.1 messages on a connection (RFC 9112), and the bytes of both directions.
#pragma once

#include <string>

#include "gateway/client.h"
#include "gateway/message.h"
#include "wire/http1.h"

namespace gatehouse::gateway {

class Http1In final : public MessageIn {
 public:
  // What waits in the inbox begins with the body.
  Http1In(Inbox& inbox, wire::BodyFraming framing) : inbox_(inbox), reader_(framing) {}
  ~Http1In() override { settle(); }

  [[nodiscard]] Result<Piece> piece() override;
  [[nodiscard]] net::Task<Result<bool>> more(Deadline deadline) override {
    return inbox_.fill(deadline);
  }
  [[nodiscard]] net::Task<Result<bool>> more_after_silence(Deadline deadline) override {
    return inbox_.fill_after_silence(deadline);
  }
  [[nodiscard]] std::uint64_t plain() override;
  [[nodiscard]] net::Task<Result<std::size_t>> read(std::span<char> into,
                                                    Deadline deadline) override;
  [[nodiscard]] Result<void> closed() override { return reader_.finish(); }
  [[nodiscard]] bool is_done() const override { return reader_.done(); }
  [[nodiscard]] const wire::Headers& trailers() const override { return reader_.trailers(); }
  // The last piece is read no more: what waits in the inbox then is of the next message.
  void settle() {
    inbox_.take(consumed_);
    consumed_ = 0;
  }

 private:
  Inbox& inbox_;
  wire::BodyReader reader_;
  std::size_t consumed_ = 0;  // by the last piece, which is a view of the inbox
};

class Http1Out final : public MessageOut {
 public:
  explicit Http1Out(net::Stream& stream) : stream_(stream) {}
  ~Http1Out() override { forget(); }

  // The text that goes first: a head. The body's framing may be kChunked or anything else.
  [[nodiscard]] std::string& head(wire::BodyFraming::Kind framing) {
    chunked_ = framing == wire::BodyFraming::Kind::kChunked;
    if (text_.empty()) take_buffer();
    return text_;
  }
  // As much as goes without waiting; whether that was all.
  [[nodiscard]] bool flush_now();
  [[nodiscard]] bool is_chunked() const { return chunked_; }
  // Whether something was begun to be sent and is not, or not yet, sent whole.
  [[nodiscard]] bool is_sent_in_part() const { return sending_; }
  // What waits holds a secret: no copy of it is left behind.
  void hold_secret() { is_secret_ = true; }

  void add(std::string_view payload) override;
  [[nodiscard]] std::size_t waiting() const override { return text_.size(); }
  void discard() override { forget(); }
  [[nodiscard]] net::Task<Result<void>> flush(Deadline deadline) override {
    return flush_with({}, deadline);
  }
  [[nodiscard]] net::Task<Result<void>> finish(std::string_view rest, const wire::Headers& trailers,
                                               Deadline deadline) override;

 private:
  net::Task<Result<void>> flush_with(std::string_view rest, Deadline deadline);
  void take_buffer();
  void make_room(std::size_t size);
  void forget();

  net::Stream& stream_;
  std::string text_;
  bool chunked_ = false;
  bool is_secret_ = false;
  bool sending_ = false;
};

}  // namespace gatehouse::gateway
