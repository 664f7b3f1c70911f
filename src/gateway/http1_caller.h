// SPDX-License-Identifier: Apache-2.0
// The agent's side of an Exchange on a connection of HTTP/1.1.
#pragma once

#include <string>

#include "gateway/caller.h"
#include "gateway/gate.h"
#include "gateway/http1_message.h"

namespace gatehouse::gateway {

class Http1Caller final : public Caller {
 public:
  // `head` was read from the client; what waits in its inbox is the body.
  Http1Caller(Gate& gate, Door& door, Client& client, const wire::RequestHead& head);

  [[nodiscard]] MessageIn& request() override { return request_; }
  [[nodiscard]] net::Task<Result<void>> send_continue(Deadline deadline) override;
  [[nodiscard]] Result<void> begin(wire::ResponseHead head, wire::BodyFraming body) override;
  [[nodiscard]] MessageOut& answer() override { return answer_; }
  [[nodiscard]] bool is_mid_answer() const override { return client_.mid_answer; }
  [[nodiscard]] bool takes_last_words() const override;
  void say_last_now(std::string_view words) override;
  [[nodiscard]] net::Task<void> say_last(std::string_view words, Deadline deadline) override;
  [[nodiscard]] Result<void> can_switch() override;
  [[nodiscard]] net::Task<Result<RawConnection>> switch_protocols(wire::ResponseHead head,
                                                                  Deadline deadline) override;
  void ended_in_order() override { client_.last_words_said = true; }
  [[nodiscard]] net::Task<void> refuse(Refusal refusal) override;
  void watch(net::Nursery& nursery) override;

  // Whether the connection can carry another Exchange after this one, which is over.
  [[nodiscard]] bool may_carry_another() const { return !is_last_ && request_.is_done(); }

 private:
  // Beside its bytes, an answer's end is the end of what may cut it.
  class Answer final : public MessageOut {
   public:
    Answer(Gate& gate, Client& client) : gate_(gate), client_(client), out_(*client.stream) {}
    void add(std::string_view payload) override { out_.add(payload); }
    [[nodiscard]] std::size_t waiting() const override { return out_.waiting(); }
    void discard() override { out_.discard(); }
    [[nodiscard]] net::Task<Result<void>> flush(Deadline deadline) override {
      return out_.flush(deadline);
    }
    [[nodiscard]] net::Task<Result<void>> finish(std::string_view rest,
                                                 const wire::Headers& trailers,
                                                 Deadline deadline) override;
    [[nodiscard]] Http1Out& out() { return out_; }
    [[nodiscard]] const Http1Out& out() const { return out_; }
    void end_by_close() { ends_by_close_ = true; }

   private:
    Gate& gate_;
    Client& client_;
    Http1Out out_;
    bool ends_by_close_ = false;
  };
  net::Task<void> linger();

  Gate& gate_;
  Door& door_;
  Client& client_;
  Http1In request_;
  Answer answer_;
  wire::HttpVersion version_;
  bool is_last_;  // the connection ends after this Exchange
  bool to_head_;
};

}  // namespace gatehouse::gateway
