// SPDX-License-Identifier: Apache-2.0
#include "gateway/websocket_record.h"

#include <fmt/format.h>

#include "base/encoding.h"

namespace gatehouse::gateway {
namespace {

constexpr std::size_t kKeptMost = 16 * 1024 * 1024;  // of a socket, in the log
constexpr std::size_t kWaitingMost = 256 * 1024;

std::string content_of(const wire::WebSocketEvent& event, std::string_view payload) {
  if (event.opcode == wire::WebSocketOpcode::kClose) {
    return fmt::format(R"("close":{},"reason":{})", event.code, json_quoted(payload));
  }
  if (event.opcode == wire::WebSocketOpcode::kText) {
    return fmt::format(R"("text":{})", json_quoted(payload));
  }
  return fmt::format(R"("base64":"{}")", to_base64(payload));
}

}  // namespace

WebSocketRecord::WebSocketRecord(net::Loop& loop, Intent& intent)
    : loop_(loop), intent_(intent), began_(loop.now()) {}

WebSocketRecord::~WebSocketRecord() {
  store();
  if (is_truncated_) intent_.tag("messages.truncated", "true");
}

void WebSocketRecord::add(std::string_view from, const wire::WebSocketEvent& event,
                          std::string_view payload) {
  if (is_truncated_) return;
  const auto at = std::chrono::duration_cast<std::chrono::milliseconds>(loop_.now() - began_);
  const std::string line =
      fmt::format("{{\"at_ms\":{},\"from\":\"{}\",{}{}}}\n", at.count(), from,
                  content_of(event, payload), event.ends ? "" : R"(,"more":true)");
  if (stored_ + lines_.size() + line.size() > kKeptMost) {
    is_truncated_ = true;
    return;
  }
  if (lines_.size() + line.size() > kWaitingMost) store();
  lines_ += line;
}

void WebSocketRecord::store() {
  if (lines_.empty()) return;
  ++bodies_;
  intent_.add_body(bodies_ == 1 ? "messages" : fmt::format("messages.{}", bodies_), lines_);
  stored_ += lines_.size();
  lines_.clear();
}

}  // namespace gatehouse::gateway
