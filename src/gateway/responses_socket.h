// SPDX-License-Identifier: Apache-2.0
// The messages of a WebSocket of OpenAI's Responses. Each `response.create` is an Exchange of its
// own: ruled on by the rules of that moment, recorded before it goes, answered by an error event
// where it may not go, read and counted until its response has ended. A response that begins
// without one (after a `response.steer`) is recorded when it does.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/exchange.h"
#include "gateway/reading.h"
#include "gateway/websocket.h"
#include "wire/responses_socket.h"

namespace gatehouse::gateway {

class ResponsesSocket final : public WebSocketJudge {
 public:
  // `socket` is the Exchange of the handshake; it outlives this.
  explicit ResponsesSocket(const Exchange& socket) : socket_(socket), gate_(*socket.gate) {}
  // What is under way is settled as cut.
  ~ResponsesSocket() override = default;

  [[nodiscard]] net::Task<Result<Verdict>> from_agent(std::string_view message,
                                                      bool is_text) override;
  [[nodiscard]] net::Task<Result<bool>> from_upstream(std::string_view message,
                                                      bool is_text) override;

 private:
  // A response that was asked for, until it has ended.
  struct Asked {
    explicit Asked(Recorded of) : recorded(std::move(of)) { reading.begin_messages(); }
    Recorded recorded;
    Reading reading{recorded.intent(), *recorded};
    bool has_begun = false;
    bool is_durable = false;
  };
  // Responses of one stream_id come one after another.
  struct Lane {
    std::deque<std::unique_ptr<Asked>> asked;
    wire::LlmRequest last;  // what was asked last: what a steered response goes on with
    std::vector<wire::LlmMessage> steered;
    void steer(std::vector<wire::LlmMessage> said);
  };
  net::Task<Result<Asked*>> ask(Lane* lane, wire::LlmRequest request, std::string message);
  net::Task<Result<Verdict>> create(Lane& lane, wire::ResponsesClientEvent event,
                                    std::string_view message);
  net::Task<Result<Asked*>> begun(Lane& lane);
  [[nodiscard]] Result<Lane*> lane_of(const std::string& stream_id);
  [[nodiscard]] Lane* lane_of_answer(const wire::ResponsesServerEvent& event);
  [[nodiscard]] Verdict refused(const Error& error, std::string_view stream_id);
  void record_refused(const Error& error) const;

  const Exchange& socket_;
  Gate& gate_;
  std::map<std::string, Lane, std::less<>> lanes_;
};

// Who judges the messages of that WebSocket; null where they pass unread.
[[nodiscard]] std::unique_ptr<WebSocketJudge> judge_of(const Exchange& socket);
// Whether a 101 is the answer to what was asked. Errors: kUpstream.
[[nodiscard]] Result<void> check_switch(const Exchange& of, const wire::ResponseHead& head);

}  // namespace gatehouse::gateway
