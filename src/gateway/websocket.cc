// SPDX-License-Identifier: Apache-2.0
#include "gateway/websocket.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace gatehouse::gateway {
namespace {

using net::Task;
using wire::WebSocketCode;
using wire::WebSocketOpcode;
using Who = WebSocketEnd::Who;

constexpr Nanos kWriteMost = std::chrono::seconds(30);
constexpr Nanos kCloseMost = std::chrono::seconds(10);  // from one Close to the other
constexpr Nanos kLastWordsMost = std::chrono::seconds(2);
constexpr std::size_t kAtHandMost = 64 * 1024;  // of what waits to be sent, and a part more

constexpr std::uint64_t kReadMost = 16 * 1024 * 1024;  // of a message that is read whole

wire::WebSocketLimits limits_for(const WebSocketJudge* reader) {
  wire::WebSocketLimits limits;
  if (reader != nullptr) limits.message_most = kReadMost;
  return limits;
}

std::string_view name_of(const WebSocketEnd& end) { return end.is_agent() ? "agent" : "upstream"; }

}  // namespace

WebSocket::WebSocket(WebSocketParts parts)
    : parts_(std::move(parts)),
      agent_(parts_.loop, Who::kAgent, parts_.agent, limits_for(parts_.reader)),
      upstream_(parts_.loop, Who::kUpstream, parts_.upstream, limits_for(parts_.reader)),
      up_{agent_, upstream_, {parts_.room, parts_.room_of_run}},
      down_{upstream_, agent_, {parts_.room, parts_.room_of_run}},
      record_(parts_.loop, parts_.intent),
      over_(parts_.loop),
      tasks_(parts_.loop) {
  if (parts_.forms) redactor_.emplace(parts_.forms, parts_.replacement);
}

WebSocket::~WebSocket() {
  tasks_.cancel_all();
  tell();
  if (ended_) return;
  const bool is_killed = parts_.is_killed();
  const std::string_view why = is_killed ? "the run was killed" : "the run ends";
  if (agent_.close_now(is_killed ? WebSocketCode::kPolicy : WebSocketCode::kGoingAway, why)) {
    parts_.ended_in_order();
  }
  (void)upstream_.close_now(WebSocketCode::kGoingAway, "");
}

void WebSocket::tell() {
  for (const Way* way : {&up_, &down_}) {
    const std::string_view from = name_of(way->from);
    parts_.intent.tag(fmt::format("messages.{}", from), std::to_string(way->messages));
    parts_.intent.tag(fmt::format("messages.{}.bytes", from), std::to_string(way->bytes));
  }
  if (redactor_ && redactor_->hits() > 0) {
    parts_.intent.tag("credential_echoes", std::to_string(redactor_->hits()));
  }
}

Task<Result<void>> WebSocket::run() {
  tasks_.spawn(pass(&up_));
  tasks_.spawn(pass(&down_));
  tasks_.spawn(watch_silence());
  (void)co_await over_.wait(Deadline::never());
  co_await say_closes();
  tasks_.cancel_all();
  tasks_.spawn(upstream_.finish(kLastWordsMost));
  tasks_.spawn(agent_.finish(kLastWordsMost));
  (void)co_await tasks_.wait_empty(Deadline::never());
  co_return *ended_;
}

// The first to say how it ends is right.
void WebSocket::end(Result<void> how, std::uint16_t to_agent, std::uint16_t to_upstream) {
  if (ended_) return;
  ended_ = std::move(how);
  to_agent_ = to_agent;
  to_upstream_ = to_upstream;
  over_.set();
}

// Each peer is told, unless a Close has gone to it already. What is under way to it goes first.
Task<void> WebSocket::say_closes() {
  const std::string why = *ended_ ? "" : ended_->error().message();
  agent_.put_close(to_agent_, why);
  upstream_.put_close(to_upstream_, "");
  if (co_await agent_.flush(parts_.loop.in(kLastWordsMost))) parts_.ended_in_order();
  (void)co_await upstream_.flush(parts_.loop.in(kLastWordsMost));
}

Task<void> WebSocket::pass(Way* way) {
  const Result<void> passed = co_await pass_all(*way);
  const bool of_agent = way->from.is_agent();
  const bool is_broken = way->from.close_code() != 0;
  if (!passed && is_broken && of_agent) {
    end(passed, way->from.close_code(), WebSocketCode::kGoingAway);
  } else if (!passed && is_broken) {
    end(failure(Error::kUpstream, passed.error().message()), WebSocketCode::kInternalError,
        way->from.close_code());
  } else if (!passed) {
    const bool is_policy = passed.error() == Error::kKilled || passed.error() == Error::kDenied;
    end(passed, is_policy ? WebSocketCode::kPolicy : WebSocketCode::kInternalError,
        WebSocketCode::kGoingAway);
  } else if (up_.is_closed && down_.is_closed) {
    end({}, WebSocketCode::kNormal, WebSocketCode::kNormal);
  } else {
    tasks_.spawn(wait_for_other_close());
  }
}

// Of two Closes one has come and was passed on. A peer that does not answer it is not waited for.
Task<void> WebSocket::wait_for_other_close() {
  co_await parts_.loop.sleep_for(kCloseMost);
  end({}, WebSocketCode::kNormal, WebSocketCode::kNormal);
}

// Until a Close has come and was passed on.
Task<Result<void>> WebSocket::pass_all(Way& way) {
  while (!way.is_closed && !ended_) {
    const auto event = CO_TRY(way.from.event());
    if (event) CO_TRY(co_await take(way, *event));
    const bool is_due = !event || way.is_closed || way.to.waiting() >= kAtHandMost;
    if (is_due && way.to.waiting() > 0) {
      const Result<void> sent = co_await way.to.flush(parts_.loop.in(kWriteMost));
      if (!sent) {
        agent_left_ = agent_left_ || way.to.is_agent();
        co_return Failure(sent.error().in(fmt::format("sending to the {}", name_of(way.to))));
      }
    }
    if (event) continue;
    const Result<bool> more = co_await way.from.more();
    CO_TRY(parts_.still_alive());
    if (more.value_or(false)) continue;
    if (way.from.is_closed()) break;  // it was told that this is the end
    if (way.from.is_agent()) {
      agent_left_ = true;
      co_return failure(Error::kClosed, "the agent left without a Close");
    }
    co_return failure(Error::kUpstream, "the upstream ended the connection without a Close");
  }
  way.is_closed = true;
  co_return Result<void>();
}

Task<Result<void>> WebSocket::take(Way& way, wire::WebSocketEvent event) {
  CO_TRY(parts_.still_alive());
  if (event.opcode >= WebSocketOpcode::kClose) co_return take_control(way, event);
  if (parts_.reader == nullptr) co_return take_data(way, event);
  const std::string_view part = CO_TRY(looked_through(way, event));
  if (!way.room.grow(part.size())) {
    co_return failure(Error::kExhausted,
                      "the requests under way take all the memory that the gateway has for bodies");
  }
  way.whole += part;
  if (!event.ends) co_return Result<void>();
  event.begins = true;
  const Result<void> taken = co_await take_whole(way, event);
  std::string().swap(way.whole);
  way.room.give_back();
  co_return taken;
}

// What of a part may pass now. A view until the next call, or of the event.
Result<std::string_view> WebSocket::looked_through(Way& way, const wire::WebSocketEvent& event) {
  if (way.from.is_agent()) {
    TRY(parts_.look_for_placeholders(event.payload));
    return event.payload;
  }
  if (!redactor_) return event.payload;
  clean_.clear();
  redactor_->feed(event.payload, clean_);
  if (event.ends) redactor_->finish(clean_);
  return clean_;
}

Result<void> WebSocket::take_data(Way& way, const wire::WebSocketEvent& event) {
  const std::string_view payload = TRY(looked_through(way, event));
  if (event.ends) ++way.messages;
  way.bytes += payload.size();
  if (payload.empty() && !event.ends) return {};  // all of it is held back
  record_.add(name_of(way.from), event, payload);
  way.to.put(way.is_mid_message ? WebSocketOpcode::kContinuation : event.opcode, event.ends,
             payload);
  way.is_mid_message = !event.ends;
  return {};
}

Task<Result<void>> WebSocket::take_whole(Way& way, wire::WebSocketEvent event) {
  const bool is_text = event.opcode == WebSocketOpcode::kText;
  ++way.messages;
  way.bytes += way.whole.size();
  if (!way.from.is_agent()) {
    if (!CO_TRY(co_await parts_.reader->from_upstream(way.whole, is_text))) {
      record_.add(name_of(way.from), event, way.whole);
    }
    way.to.put(event.opcode, true, way.whole);
    co_return Result<void>();
  }
  const auto verdict = CO_TRY(co_await parts_.reader->from_agent(way.whole, is_text));
  CO_TRY(parts_.still_alive());  // it may have taken a while
  if (!verdict.is_on_record) record_.add(name_of(way.from), event, way.whole);
  if (verdict.passes) {
    way.to.put(event.opcode, true, way.whole);
  } else {
    way.from.put(WebSocketOpcode::kText, true, verdict.reply);
    CO_TRY(co_await way.from.flush(parts_.loop.in(kWriteMost)));
  }
  co_return Result<void>();
}

Result<void> WebSocket::take_control(Way& way, const wire::WebSocketEvent& event) {
  if (event.opcode == WebSocketOpcode::kPong && way.from.is_own_pong(event.payload)) return {};
  const bool is_close = event.opcode == WebSocketOpcode::kClose;
  const std::size_t most = is_close ? wire::kMaxWebSocketReason : wire::kMaxWebSocketControl;
  if (way.from.is_agent()) TRY(parts_.look_for_placeholders(event.payload));
  const std::string payload = way.from.is_agent() ? std::string(event.payload) : clean(event, most);
  if (!is_close) {
    way.to.put(event.opcode, true, payload);
    return {};
  }
  record_.add(name_of(way.from), event, payload);
  parts_.intent.tag(fmt::format("close.{}", name_of(way.from)), std::to_string(event.code));
  way.to.put_close(event.code, payload);
  way.is_closed = true;
  return {};
}

// Of what the upstream puts into a control frame, which is whole.
std::string WebSocket::clean(const wire::WebSocketEvent& event, std::size_t most) {
  if (!redactor_) return std::string(event.payload);
  // One of its own: a message's may hold something back.
  wire::Redactor redactor(parts_.forms, parts_.replacement);
  std::string out;
  redactor.feed(event.payload, out);
  redactor.finish(out);
  if (redactor.hits() > 0)
    parts_.intent.tag("credential_echoes.control", std::to_string(redactor.hits()));
  out.resize(std::min(out.size(), most));
  return out;
}

// A peer that has been silent for half of the time is asked for a sign of life.
Task<void> WebSocket::watch_silence() {
  while (true) {
    co_await parts_.loop.sleep_until(
        std::min(parts_.loop.now() + parts_.idle_most / 8, parts_.until));
    if (parts_.loop.now() >= parts_.until) {
      co_return end(
          failure(Error::kTimeout, "the WebSocket has lasted as long as its service lets"),
          WebSocketCode::kPolicy, WebSocketCode::kGoingAway);
    }
    for (WebSocketEnd* end : {&agent_, &upstream_}) {
      look_at_silence(*end);
      // What it takes to send that is the matter of who sends: this goes on watching.
      if (end->waiting() > 0) {
        tasks_.spawn([](this auto, WebSocketEnd* to, Deadline deadline) -> Task<void> {
          (void)co_await to->flush(deadline);
        }(end, parts_.loop.in(kWriteMost)));
      }
    }
  }
}

void WebSocket::look_at_silence(WebSocketEnd& end) {
  const auto since = end.silent_since();
  if (!since) return;
  const Nanos silent = parts_.loop.now() - *since;
  if (silent >= parts_.idle_most) {
    agent_left_ = agent_left_ || end.is_agent();
    this->end(failure(Error::kTimeout,
                      fmt::format("the {} gave no sign of life within {} s, not even to a ping",
                                  name_of(end), parts_.idle_most / std::chrono::seconds(1))),
              WebSocketCode::kInternalError, WebSocketCode::kGoingAway);
  } else if (silent >= parts_.idle_most / 2) {
    end.ping();
  }
}

}  // namespace gatehouse::gateway
