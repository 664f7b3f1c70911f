// SPDX-License-Identifier: Apache-2.0
// RELAY of a WebSocket, from the 101 on: messages both ways, part by part under back-pressure,
// looked through and recorded as bodies are. What agents send is looked through for placeholders,
// which belong into the handshake; what upstreams send, for the credential, which is replaced.
// Pings and pongs pass. Silence of a peer is met with a ping, and then with the end.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "gateway/intent.h"
#include "gateway/room.h"
#include "gateway/websocket_end.h"
#include "gateway/websocket_record.h"
#include "net/nursery.h"
#include "wire/redact.h"

namespace gatehouse::gateway {

// Whoever reads what passes, message by message, and has a say in it.
class WebSocketJudge {
 public:
  // What becomes of a message of the agent's.
  struct Verdict {
    bool passes = false;
    std::string reply;          // a text for the agent where it does not
    bool is_on_record = false;  // by the reader itself
  };
  WebSocketJudge() = default;
  WebSocketJudge(const WebSocketJudge&) = delete;
  WebSocketJudge& operator=(const WebSocketJudge&) = delete;
  virtual ~WebSocketJudge() = default;
  // Before it goes to the upstream.
  [[nodiscard]] virtual net::Task<Result<Verdict>> from_agent(std::string_view message,
                                                              bool is_text) = 0;
  // Before it goes to the agent: whether it is on record by the reader itself. Errors: what keeps
  // it from being told.
  [[nodiscard]] virtual net::Task<Result<bool>> from_upstream(std::string_view message,
                                                              bool is_text) = 0;
};

// What a relay of frames needs of its Exchange. All of it outlives the relay.
struct WebSocketParts {
  net::Loop& loop;
  Intent& intent;
  RawConnection agent;
  RawConnection upstream;
  // What is looked for in what the upstream sends, and what stands there then; null for nothing.
  std::shared_ptr<const wire::RedactionForms> forms;
  std::string_view replacement;
  // How long a peer may be silent; after half of it, it is asked for a sign of life.
  Nanos idle_most;
  Instant until;  // and how long all of it may last
  // Whether anything may still pass: asked before each part. Errors: kKilled.
  std::function<Result<void>()> still_alive;
  // Looks at what came from the agent, one part after the other. Errors: kDenied for a placeholder.
  std::function<Result<void>(std::string_view)> look_for_placeholders;
  // Why the task that this is of is ended from outside.
  std::function<bool()> is_killed;
  // The agent has been told how it ends.
  std::function<void()> ended_in_order;
  // What may be kept of messages, of the gateway's memory and of the Run's share of it.
  Room& room;
  Room& room_of_run;
  // Null where nobody has to understand what passes: then it does part by part. Else messages of at
  // most 16 MiB pass, each whole and in one frame.
  WebSocketJudge* reader = nullptr;
};

class WebSocket {
 public:
  explicit WebSocket(WebSocketParts parts);
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;
  // A kill, or another end of the Run, ends the task that this is of: both peers are told at once.
  ~WebSocket();

  // Until both sides have closed it, or one has broken it. Errors: kKilled; kDenied for a
  // placeholder; kInvalid, kTooLarge, kTooMany for what breaks the protocol from the agent,
  // kUpstream from the upstream; kTimeout for a peer that gives no sign of life or takes nothing;
  // kClosed when the agent has left without a Close.
  [[nodiscard]] net::Task<Result<void>> run();
  [[nodiscard]] bool agent_left() const { return agent_left_; }

 private:
  // One direction.
  struct Way {
    WebSocketEnd& from;
    WebSocketEnd& to;
    Room::Share room;
    bool is_mid_message = false;  // to the receiver
    bool is_closed = false;       // a Close came
    std::string whole;            // of a message that is read before it passes
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
  };
  net::Task<void> pass(Way* way);
  net::Task<Result<void>> pass_all(Way& way);
  net::Task<Result<void>> take(Way& way, wire::WebSocketEvent event);
  net::Task<Result<void>> take_whole(Way& way, wire::WebSocketEvent event);
  Result<std::string_view> looked_through(Way& way, const wire::WebSocketEvent& event);
  Result<void> take_data(Way& way, const wire::WebSocketEvent& event);
  Result<void> take_control(Way& way, const wire::WebSocketEvent& event);
  [[nodiscard]] std::string clean(const wire::WebSocketEvent& event, std::size_t most);
  net::Task<void> watch_silence();
  void look_at_silence(WebSocketEnd& end);
  net::Task<void> wait_for_other_close();
  void end(Result<void> how, std::uint16_t to_agent, std::uint16_t to_upstream);
  net::Task<void> say_closes();
  void tell();

  WebSocketParts parts_;
  WebSocketEnd agent_;
  WebSocketEnd upstream_;
  Way up_;
  Way down_;
  std::optional<wire::Redactor> redactor_;
  std::string clean_;  // what the redactor has given last
  WebSocketRecord record_;
  std::optional<Result<void>> ended_;
  std::uint16_t to_agent_ = 0;  // the code of the Close that says so
  std::uint16_t to_upstream_ = 0;
  bool agent_left_ = false;
  net::Event over_;
  net::Nursery tasks_;
};

}  // namespace gatehouse::gateway
