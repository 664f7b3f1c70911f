// SPDX-License-Identifier: Apache-2.0
// A JSON array that comes in pieces, element by element: how Gemini streams without server-sent
// events. As with those, the raw bytes of all events, in order, are the stream.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gatehouse::wire {

// Views are valid until the next feed() and while the input of this one lives.
struct JsonArrayEvent {
  std::string_view raw;   // with what stands before the element
  std::string_view data;  // the element; whether it is JSON, its reader finds out
};

struct JsonArrayProgress {
  std::size_t consumed = 0;
  std::optional<JsonArrayEvent> event;
};

class JsonArrayParser {
 public:
  explicit JsonArrayParser(std::size_t event_most) : event_most_(event_most) {}

  // Stops after one element that is an object: call again with the rest. Errors, and then for ever:
  // kTooLarge when an element passes the most; kInvalid for what is no array of objects.
  [[nodiscard]] Result<JsonArrayProgress> feed(std::string_view input);
  // Bytes that are of no element yet: half of one, or the end of the array.
  [[nodiscard]] std::string_view unfinished() const {
    return has_event_ ? std::string_view{} : std::string_view(buffer_);
  }
  [[nodiscard]] bool has_begun() const { return has_begun_; }

 private:
  enum class Place : std::uint8_t { kBefore, kFirst, kComma, kElement, kAfter, kEnded };
  // Takes one byte; whether it ends an element. Errors: kInvalid.
  Result<bool> take(char c);
  void inside(char c);

  std::size_t event_most_;
  std::string buffer_;
  Place place_ = Place::kBefore;
  std::size_t element_at_ = 0;  // in the event's bytes
  std::size_t size_ = 0;        // of the event's bytes so far
  int depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  bool has_event_ = false;
  bool has_begun_ = false;
  bool failed_ = false;
};

}  // namespace gatehouse::wire
