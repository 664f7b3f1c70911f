// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "base/encoding.h"
#include "wire/sse.h"

static std::string read(std::string_view stream, std::size_t step) {
  gatehouse::wire::SseParser parser;
  std::string out;
  std::string raw;
  for (std::size_t at = 0; at < stream.size();) {
    const auto progress = parser.feed(stream.substr(at, step));
    if (!progress) return out;
    at += progress->consumed;
    if (!progress->event) continue;
    raw += progress->event->raw;
    out.append(progress->event->type).append("(").append(progress->event->data).append(")");
  }
  if (raw + std::string(parser.unfinished()) != stream) std::abort();
  return out + parser.last_event_id();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text = gatehouse::text_of({data + 1, size - 1});
  if (read(text, size + 1) != read(text, 1 + data[0] % 16U)) std::abort();
  return 0;
}
