// SPDX-License-Identifier: Apache-2.0
#include "gateway/websocket_end.h"

#include <array>

#include "base/encoding.h"
#include "base/random.h"

namespace gatehouse::gateway {

using net::Task;

WebSocketEnd::WebSocketEnd(net::Loop& loop, Who who, RawConnection connection,
                           wire::WebSocketLimits limits)
    : loop_(loop),
      who_(who),
      connection_(connection),
      parser_(who == Who::kAgent ? wire::WebSocketPeer::kClient : wire::WebSocketPeer::kServer,
              limits),
      heard_(loop.now()),
      sent_(loop) {
  std::array<std::uint8_t, 16> random{};
  fill_random(random);
  own_ping_ = text_of(random);
}

Result<std::optional<wire::WebSocketEvent>> WebSocketEnd::event() {
  const std::string_view waiting = connection_.inbox->waiting();
  const wire::WebSocketProgress progress = TRY(parser_.feed(waiting));
  connection_.inbox->take(progress.consumed);
  has_heard_close_ |= progress.event && progress.event->opcode == wire::WebSocketOpcode::kClose;
  return progress.event;
}

Task<Result<bool>> WebSocketEnd::more() {
  heard_ = loop_.now();
  is_listening_ = true;
  const Result<bool> came = co_await connection_.inbox->fill(Deadline::never());
  is_listening_ = false;
  is_pinged_ = false;
  co_return came;
}

void WebSocketEnd::ping() {
  if (std::exchange(is_pinged_, true)) return;
  put(wire::WebSocketOpcode::kPing, true, own_ping_);
}

std::optional<wire::WebSocketMask> WebSocketEnd::mask() const {
  if (is_agent()) return std::nullopt;
  wire::WebSocketMask mask{};
  fill_random(mask);
  return mask;
}

void WebSocketEnd::put(wire::WebSocketOpcode opcode, bool is_final, std::string_view payload) {
  if (is_closed_) return;
  wire::append_websocket_frame(waiting_, opcode, is_final, payload, mask());
}

void WebSocketEnd::put_close(std::uint16_t code, std::string_view reason) {
  if (std::exchange(is_closed_, true)) return;
  wire::append_websocket_close(waiting_, code, reason, mask());
}

Task<Result<void>> WebSocketEnd::flush(Deadline deadline) {
  while (is_sending_) CO_TRY(co_await sent_.wait(deadline));
  if (waiting_.empty()) co_return Result<void>();
  const std::string sending = std::exchange(waiting_, {});
  sent_.reset();
  is_sending_ = true;
  CO_TRY(co_await connection_.stream->write(sending, deadline));
  is_sending_ = false;
  sent_.set();
  co_return Result<void>();
}

bool WebSocketEnd::close_now(std::uint16_t code, std::string_view reason) {
  if (is_sending_ || is_closed_) return false;
  waiting_.clear();
  put_close(code, reason);
  return connection_.stream->write_now(waiting_) == waiting_.size();
}

Task<void> WebSocketEnd::hear_close(Deadline deadline) {
  while (!has_heard_close_) {
    const auto heard = event();
    if (!heard) co_return;
    if (*heard) continue;
    if (!(co_await connection_.inbox->fill(deadline)).value_or(false)) co_return;
  }
}

Task<void> WebSocketEnd::finish(Nanos most) {
  if (is_sending_) co_return;
  co_await hear_close(loop_.in(most));
  const Deadline deadline = loop_.in(most);
  if (!co_await connection_.stream->finish(deadline)) co_return;
  do {
    connection_.inbox->take(connection_.inbox->waiting().size());
  } while ((co_await connection_.inbox->fill(deadline)).value_or(false));
}

}  // namespace gatehouse::gateway
