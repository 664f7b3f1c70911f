// SPDX-License-Identifier: Apache-2.0
#include "wire/sse.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "wire/characters.h"

namespace gatehouse::wire {
namespace {

std::size_t find(std::string_view text, char c) {
  const void* const at = text.empty() ? nullptr : std::memchr(text.data(), c, text.size());
  return at == nullptr ? text.size()
                       : static_cast<std::size_t>(static_cast<const char*>(at) - text.data());
}

// The first LF or CR, or the size.
std::size_t line_end(std::string_view text) { return find(text.substr(0, find(text, '\n')), '\r'); }

}  // namespace

std::optional<std::size_t> SseParser::end_of_block(std::string_view input) {
  std::size_t at = 0;
  while (at < input.size()) {
    if (after_cr_ && input[at] == '\n') {
      after_cr_ = false;
      ++at;
      continue;
    }
    after_cr_ = false;
    const std::size_t size = line_end(input.substr(at));
    if (size > 0) line_is_empty_ = false;
    at += size;
    if (at == input.size()) break;
    after_cr_ = input[at] == '\r';
    ++at;
    if (line_is_empty_) return at;
    line_is_empty_ = true;
  }
  return std::nullopt;
}

Result<SseProgress> SseParser::feed(std::string_view input) {
  if (has_event_) {
    buffer_.clear();
    has_event_ = false;
  }
  const auto end = failed_ ? std::nullopt : end_of_block(input);
  const std::size_t size = end.value_or(input.size());
  if (failed_ || size > event_most_ - std::min(buffer_.size(), event_most_)) {
    failed_ = true;
    return failure(Error::kTooLarge, "an event of the stream is too large to be read");
  }
  if (!end || !buffer_.empty()) buffer_.append(input.substr(0, size));
  if (!end) return SseProgress{size, std::nullopt};
  has_event_ = true;
  line_is_empty_ = true;
  return SseProgress{size, event_of(buffer_.empty() ? input.substr(0, size) : buffer_)};
}

SseEvent SseParser::event_of(std::string_view block) {
  SseEvent event{.raw = block, .begin = offset_};
  std::string_view rest = block;
  if (offset_ == 0 && rest.starts_with("\xef\xbb\xbf")) rest.remove_prefix(3);
  offset_ += block.size();
  if (rest.starts_with('\n')) rest.remove_prefix(1);  // of the CR LF that ended the block before
  joined_.clear();
  while (!rest.empty()) {
    const std::size_t size = line_end(rest);
    field(rest.substr(0, size), event);
    rest.remove_prefix(std::min(size, rest.size()));
    if (rest.starts_with("\r\n")) rest.remove_prefix(1);
    if (!rest.empty()) rest.remove_prefix(1);
  }
  return event;
}

void SseParser::field(std::string_view line, SseEvent& event) {
  const std::size_t colon = find(line, ':');
  const std::string_view name = line.substr(0, colon);
  std::string_view value = line.substr(std::min(colon + 1, line.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "data") {
    if (event.has_data) {
      if (joined_.empty()) joined_ = event.data;
      joined_.append("\n").append(value);
      event.data = joined_;
    } else {
      event.data = value;
      event.has_data = true;
    }
  } else if (name == "event") {
    event.type = value;
  } else if (name == "id") {
    if (!value.contains('\0')) last_event_id_ = value;
  } else if (name == "retry" && !value.empty() && all_are(kDigitChar, value)) {
    std::uint64_t wait = 0;
    const auto [at, fault] = std::from_chars(value.data(), value.data() + value.size(), wait);
    if (fault == std::errc{}) event.retry_ms = wait;
  }
}

}  // namespace gatehouse::wire
