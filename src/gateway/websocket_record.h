// SPDX-License-Identifier: Apache-2.0
// What the two sides of a WebSocket said, on its way into the log: bodies "messages", "messages.2"
// and so on, of the Entry that settles the Exchange. A line each, of JSON:
//
//   {"at_ms":12,"from":"agent","text":"..."}                 or "base64" of a binary message
//   {"at_ms":14,"from":"upstream","text":"...","more":true}  a part, and more of it comes
//   {"at_ms":90,"from":"upstream","close":1000,"reason":""}
//
// At most 256 KiB wait here, and 16 MiB of a socket are kept.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/intent.h"
#include "net/loop.h"
#include "wire/websocket.h"

namespace gatehouse::gateway {

class WebSocketRecord {
 public:
  WebSocketRecord(net::Loop& loop, Intent& intent);
  WebSocketRecord(const WebSocketRecord&) = delete;
  WebSocketRecord& operator=(const WebSocketRecord&) = delete;
  // Tells the Intent, also when the Exchange is cancelled in the middle.
  ~WebSocketRecord();

  // `payload` is what was passed on of the event.
  void add(std::string_view from, const wire::WebSocketEvent& event, std::string_view payload);

 private:
  void store();

  net::Loop& loop_;
  Intent& intent_;
  Instant began_;
  std::string lines_;
  std::size_t stored_ = 0;
  int bodies_ = 0;
  bool is_truncated_ = false;
};

}  // namespace gatehouse::gateway
