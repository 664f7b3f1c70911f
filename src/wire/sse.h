// SPDX-License-Identifier: Apache-2.0
// Server-sent events (WHATWG HTML, section 9.2.6), incremental. Each block of the stream (up to and
// with its blank line) is reported with its own bytes, so that a relay can pass them on unchanged:
// the raw bytes of all blocks, in order, are the stream.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gatehouse::wire {

inline constexpr std::size_t kMaxSseEvent = 1024 * 1024;

// Views are valid until the next feed() and while the input of this one lives.
struct SseEvent {
  std::string_view raw;     // with comments and the blank line
  std::uint64_t begin = 0;  // of `raw`, counted from the start of the stream
  std::string_view type;    // empty means "message"
  std::string_view data;    // lines joined by LF
  bool has_data = false;    // without it nothing is dispatched: comments, keep-alives
  std::optional<std::uint64_t> retry_ms;
};

struct SseProgress {
  std::size_t consumed = 0;
  std::optional<SseEvent> event;
};

class SseParser {
 public:
  explicit SseParser(std::size_t event_most = kMaxSseEvent) : event_most_(event_most) {}

  // Stops after one block: call again with the rest. Where lines end in CR LF, the LF after the
  // blank line's CR begins the next block, since waiting for it would delay the event.
  // Errors: kTooLarge when a block passes the most, and then for ever.
  [[nodiscard]] Result<SseProgress> feed(std::string_view input);
  // Bytes of a block that has not ended; a stream that ends here drops them (they are no event).
  [[nodiscard]] std::string_view unfinished() const {
    return has_event_ ? std::string_view{} : std::string_view(buffer_);
  }
  [[nodiscard]] const std::string& last_event_id() const { return last_event_id_; }

 private:
  [[nodiscard]] std::optional<std::size_t> end_of_block(std::string_view input);
  SseEvent event_of(std::string_view block);
  void field(std::string_view line, SseEvent& event);

  std::size_t event_most_;
  std::string buffer_;  // the block's bytes of earlier feeds
  std::string joined_;  // data of several lines
  std::string last_event_id_;
  std::uint64_t offset_ = 0;
  bool line_is_empty_ = true;
  bool after_cr_ = false;
  bool has_event_ = false;
  bool failed_ = false;
};

}  // namespace gatehouse::wire
