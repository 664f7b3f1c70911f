// SPDX-License-Identifier: Apache-2.0
#include "wire/json_array.h"

namespace gatehouse::wire {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

void JsonArrayParser::inside(char c) {
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
    }
  } else if (c == '"') {
    in_string_ = true;
  } else if (c == '{' || c == '[') {
    ++depth_;
  } else if (c == '}' || c == ']') {
    --depth_;
  }
}

Result<bool> JsonArrayParser::take(char c) {
  if (place_ == Place::kElement) {
    inside(c);
    if (depth_ > 0) return false;
    place_ = Place::kAfter;
    return true;
  }
  if (is_space(c)) return false;
  const Place before = place_;
  if (before == Place::kBefore && c == '[') {
    place_ = Place::kFirst;
  } else if ((before == Place::kFirst || before == Place::kComma) && c == '{') {
    place_ = Place::kElement;
    element_at_ = size_;
    inside(c);
  } else if (before == Place::kAfter && c == ',') {
    place_ = Place::kComma;
  } else if ((before == Place::kFirst || before == Place::kAfter) && c == ']') {
    place_ = Place::kEnded;
  } else {
    return failure(Error::kInvalid, "the stream is no JSON array of objects");
  }
  return false;
}

Result<JsonArrayProgress> JsonArrayParser::feed(std::string_view input) {
  if (has_event_) {
    buffer_.clear();
    has_event_ = false;
    size_ = 0;
  }
  if (failed_) return failure(Error::kInvalid, "the stream could not be read before");
  const std::size_t before = size_;
  for (std::size_t i = 0; i < input.size(); ++i, ++size_) {
    const Result<bool> ends = size_ < event_most_
                                  ? take(input[i])
                                  : failure(Error::kTooLarge, "an element is too large to be read");
    if (!ends) {
      failed_ = true;
      size_ = before;
      return Failure(ends.error());
    }
    if (!*ends) continue;
    const std::string_view rest_of_it = input.substr(0, i + 1);
    if (!buffer_.empty()) buffer_ += rest_of_it;
    const std::string_view raw = buffer_.empty() ? rest_of_it : std::string_view(buffer_);
    has_event_ = true;
    has_begun_ = true;
    return JsonArrayProgress{i + 1, JsonArrayEvent{raw, raw.substr(element_at_)}};
  }
  buffer_ += input;
  return JsonArrayProgress{input.size(), std::nullopt};
}

}  // namespace gatehouse::wire
