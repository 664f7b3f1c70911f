// SPDX-License-Identifier: Apache-2.0
#include "gateway/responses_socket.h"

#include <fmt/format.h>

#include <utility>

#include "gateway/record.h"

namespace gatehouse::gateway {
namespace {

using net::Task;
using ClientKind = wire::ResponsesClientEvent::Kind;
using ServerKind = wire::ResponsesServerEvent::Kind;

constexpr std::size_t kLanesMost = 64;
constexpr std::size_t kAskedMost = 64;            // that have not ended
constexpr std::size_t kSteeredMost = 256 * 1024;  // bytes of what is on record of steers
constexpr Nanos kDurableMost = 250ms;

}  // namespace

Task<Result<WebSocketJudge::Verdict>> ResponsesSocket::from_agent(std::string_view message,
                                                                  bool is_text) {
  if (!is_text) {
    const Error error(Error::kUnsupported, "an event is a text message, and this one is binary");
    record_refused(error);
    co_return refused(error, "");
  }
  auto event = wire::parse_responses_client_event(message);
  if (!event) {
    record_refused(event.error());
    co_return refused(event.error(), "");
  }
  if (event->kind == ClientKind::kProcessed) co_return Verdict{.passes = true};
  const auto lane = lane_of(event->stream_id);
  if (!lane) co_return refused(lane.error(), event->stream_id);
  if (event->kind == ClientKind::kCreate) {
    co_return co_await create(**lane, std::move(*event), message);
  }
  (*lane)->steer(std::move(event->request.new_messages));
  co_return Verdict{.passes = true};
}

void ResponsesSocket::Lane::steer(std::vector<wire::LlmMessage> said) {
  std::size_t size = 0;
  for (const wire::LlmMessage& message : steered) size += message.text.size();
  for (wire::LlmMessage& message : said) {
    size += message.text.size() + sizeof message;
    if (size > kSteeredMost) return;
    steered.push_back(std::move(message));
  }
}

Task<Result<WebSocketJudge::Verdict>> ResponsesSocket::create(Lane& lane,
                                                              wire::ResponsesClientEvent event,
                                                              std::string_view message) {
  const std::string stream_id = event.stream_id;
  std::size_t under_way = 0;
  for (const auto& [id, each] : lanes_) under_way += each.asked.size();
  if (under_way >= kAskedMost) {
    co_return refused({Error::kTooMany, "too many responses are under way in this WebSocket"},
                      stream_id);
  }
  lane.last = {.model = event.request.model,
               .stream = true,
               .tools = event.request.tools,
               .provider_tools = event.request.provider_tools};
  lane.steered.clear();
  const auto asked = co_await ask(&lane, std::move(event.request), std::string(message));
  if (!asked) {
    if (asked.error() == Error::kKilled) co_return Failure(asked.error());
    co_return refused(asked.error(), stream_id);
  }
  co_return Verdict{.passes = true, .is_on_record = true};
}

// The phases up to the record.
Task<Result<ResponsesSocket::Asked*>> ResponsesSocket::ask(Lane* lane, wire::LlmRequest request,
                                                           std::string message) {
  ++gate_.counters.exchanges;
  LlmCall call{*socket_.endpoint, std::move(request), message.size()};
  auto what = CO_TRY(interpret_message(socket_, std::move(message), std::move(call)));
  Routed where = CO_TRY(route(std::move(what)));
  Ruled ruled = CO_TRY(rule(std::move(where)));
  if (ruled->model_route != nullptr) {
    // The socket leads to one upstream, and a route may lead elsewhere, under another name.
    ruled->ruling = {Ruling::Effect::kDeny, "model-route",
                     "the model's name is a route's, which a WebSocket cannot follow; ask by POST"};
  }
  Recorded recorded = CO_TRY(co_await record(std::move(ruled)));
  // All of it is on record.
  recorded->drop_request();
  lane->asked.push_back(std::make_unique<Asked>(std::move(recorded)));
  co_return lane->asked.back().get();
}

Task<Result<bool>> ResponsesSocket::from_upstream(std::string_view message, bool is_text) {
  const auto event = is_text ? wire::parse_responses_server_event(message)
                             : failure(Error::kInvalid, "an event is a text message");
  if (!event) co_return false;  // it is relayed as it is, and on record as such
  Lane* const lane = lane_of_answer(*event);
  if (lane == nullptr) co_return false;
  Asked* asked = lane->asked.empty() ? nullptr : lane->asked.front().get();
  if (event->kind == ServerKind::kBegins && (asked == nullptr || asked->has_begun)) {
    asked = CO_TRY(co_await begun(*lane));
  }
  if (asked == nullptr) co_return false;
  Intent& intent = asked->recorded.intent();
  if (!asked->is_durable) {
    CO_TRY(co_await intent.recorder().wait_durable(intent.position(), gate_.loop.in(kDurableMost)));
    asked->is_durable = true;
  }
  asked->has_begun = asked->has_begun || event->kind == ServerKind::kBegins;
  (void)asked->reading.take(message);
  if (event->kind == ServerKind::kEnds) {
    intent.outcome.state = "done";
    lane->asked.pop_front();
  } else if (event->kind == ServerKind::kError) {
    intent.outcome.state = "failed";
    intent.outcome.reason = "the provider answered with an error";
    lane->asked.pop_front();
  }
  co_return true;
}

// A response that was not asked for by a message of its own: it goes on with the model and the
// tools of what was asked before. What had begun and was not told to have ended is over.
Task<Result<ResponsesSocket::Asked*>> ResponsesSocket::begun(Lane& lane) {
  if (!lane.asked.empty()) lane.asked.pop_front();
  wire::LlmRequest request = lane.last;
  request.new_messages = std::exchange(lane.steered, {});
  if (request.model.empty()) request.model = "(of another response)";
  Asked* const asked = CO_TRY(co_await ask(&lane, std::move(request), ""));
  // Before those that wait for their turn.
  std::unique_ptr<Asked> moved = std::move(lane.asked.back());
  lane.asked.pop_back();
  lane.asked.push_front(std::move(moved));
  co_return asked;
}

Result<ResponsesSocket::Lane*> ResponsesSocket::lane_of(const std::string& stream_id) {
  const auto found = lanes_.find(stream_id);
  if (found != lanes_.end()) return &found->second;
  if (lanes_.size() >= kLanesMost) {
    return failure(Error::kTooMany,
                   fmt::format("a WebSocket with more than {} streams; open another", kLanesMost));
  }
  return &lanes_[stream_id];
}

// An error need not say which stream it is of: where only one is waited for, it is that one's.
ResponsesSocket::Lane* ResponsesSocket::lane_of_answer(const wire::ResponsesServerEvent& event) {
  const auto found = lanes_.find(event.stream_id);
  const bool is_waited_for = found != lanes_.end() && !found->second.asked.empty();
  if (is_waited_for || event.kind != ServerKind::kError || !event.stream_id.empty()) {
    if (found != lanes_.end()) return &found->second;
    return event.kind == ServerKind::kBegins && lanes_.size() < kLanesMost
               ? &lanes_[event.stream_id]
               : nullptr;
  }
  Lane* only = nullptr;
  for (auto& [id, lane] : lanes_) {
    if (lane.asked.empty()) continue;
    if (only != nullptr) return nullptr;
    only = &lane;
  }
  return only;
}

WebSocketJudge::Verdict ResponsesSocket::refused(const Error& error, std::string_view stream_id) {
  gate_.counters.refuse(error.code());
  const ErrorRow& row = row_of(error.code());
  const std::string rule = std::exchange(socket_.caller->refused_by, "");
  return {.passes = false,
          .reply = wire::responses_error_event({row.http_status, row.label, rule, error.message()},
                                               stream_id),
          .is_on_record = error == Error::kDenied};
}

// What cannot be read as an event that asks for something, and so has no Exchange.
void ResponsesSocket::record_refused(const Error& error) const {
  record_refusal(gate_, *socket_.door, wire::kWebSocketMethod,
                 socket_.request.host.text() + socket_.path,
                 {Ruling::Effect::kDeny, "malformed", error.message()});
}

std::unique_ptr<WebSocketJudge> judge_of(const Exchange& socket) {
  return is_governed_socket(socket) ? std::make_unique<ResponsesSocket>(socket) : nullptr;
}

Result<void> check_switch(const Exchange& of, const wire::ResponseHead& head) {
  if (of.websocket) return wire::check_websocket_answer(*of.websocket, head);
  return failure(Error::kUpstream, "the upstream changed the protocol, which nobody asked it to");
}

}  // namespace gatehouse::gateway
