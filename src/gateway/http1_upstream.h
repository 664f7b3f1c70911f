// SPDX-License-Identifier: Apache-2.0
// An exchange with an upstream over a connection of HTTP/1.1 that it has for itself.
#pragma once

#include "gateway/http1_message.h"
#include "gateway/upstream.h"

namespace gatehouse::gateway {

class Http1Upstream final : public UpstreamExchange {
 public:
  Http1Upstream(Upstreams& upstreams, Upstreams::Connection connection);

  [[nodiscard]] Result<void> begin(wire::RequestHead head, const SecretField& secret) override;
  [[nodiscard]] MessageOut& request() override { return request_; }
  [[nodiscard]] Result<std::optional<Head>> head() override;
  [[nodiscard]] MessageIn& answer() override { return answer_; }
  [[nodiscard]] bool has_spoken() const override { return spoken_ || has_bytes(); }
  [[nodiscard]] bool is_on_kept_connection() const override { return connection_.reused; }
  [[nodiscard]] RawConnection switched() override {
    return {connection_.stream.get(), &answer_.inbox};
  }
  void release() override;

 private:
  // Until the head is there, what comes is the head's.
  class Answer final : public MessageIn {
   public:
    explicit Answer(net::Stream& stream) : inbox(stream) {}
    [[nodiscard]] Result<Piece> piece() override { return body ? body->piece() : Piece{}; }
    [[nodiscard]] net::Task<Result<bool>> more(Deadline deadline) override {
      return inbox.fill(deadline);
    }
    [[nodiscard]] net::Task<Result<bool>> more_after_silence(Deadline deadline) override {
      return inbox.fill_after_silence(deadline);
    }
    [[nodiscard]] Result<void> closed() override;
    [[nodiscard]] bool is_done() const override { return body && body->is_done(); }
    [[nodiscard]] const wire::Headers& trailers() const override;

    Inbox inbox;
    std::optional<Http1In> body;
  };
  [[nodiscard]] bool has_bytes() const { return !answer_.inbox.waiting().empty(); }

  Upstreams& upstreams_;
  Upstreams::Connection connection_;
  std::string method_;
  Http1Out request_;
  Answer answer_;
  wire::ResponseParser parser_;
  bool spoken_ = false;
  bool keep_ = false;
};

}  // namespace gatehouse::gateway
