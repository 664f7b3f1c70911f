// SPDX-License-Identifier: Apache-2.0
// AWS's event stream encoding (application/vnd.amazon.eventstream), incremental: frames of headers
// and a payload, with a CRC-32 over the prelude and one over all.
// (https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gatehouse::wire {

// Views are valid until the next feed() and while the input of this one lives.
struct EventStreamEvent {
  std::string_view raw;
  std::string_view data;          // the payload
  std::string_view message_type;  // event, exception, error
  std::string_view type;          // of the event or the exception, or the code of the error
};

struct EventStreamProgress {
  std::size_t consumed = 0;
  std::optional<EventStreamEvent> event;
};

class EventStreamParser {
 public:
  explicit EventStreamParser(std::size_t event_most) : event_most_(event_most) {}

  // Stops after one frame: call again with the rest. Errors, and then for ever: kTooLarge when a
  // frame passes the most; kInvalid for a checksum or a length that is wrong.
  [[nodiscard]] Result<EventStreamProgress> feed(std::string_view input);
  [[nodiscard]] std::string_view unfinished() const {
    return has_event_ ? std::string_view{} : std::string_view(buffer_);
  }

 private:
  std::size_t event_most_;
  std::string buffer_;
  bool has_event_ = false;
  bool failed_ = false;
};

// One frame with those headers, as strings, and that payload.
[[nodiscard]] std::string event_stream_frame(
    std::initializer_list<std::pair<std::string_view, std::string_view>> headers,
    std::string_view payload);

// CRC-32 (IEEE 802.3), as zlib has it.
[[nodiscard]] std::uint32_t crc32(std::string_view bytes);

}  // namespace gatehouse::wire
