// SPDX-License-Identifier: Apache-2.0
// Frames and arrays mean the same however they are split; what is given out is what came in.
#include "base/check.h"
#include "base/encoding.h"
#include "wire/event_stream.h"
#include "wire/json_array.h"

namespace {

template <class Parser>
std::string read(std::string_view input, std::size_t piece) {
  Parser parser(4096);
  std::string out;
  std::string raw;
  for (std::size_t at = 0; at < input.size(); at += piece) {
    std::string_view rest = input.substr(at, piece);
    while (!rest.empty()) {
      const auto progress = parser.feed(rest);
      if (!progress) return out + "!";
      rest.remove_prefix(progress->consumed);
      if (!progress->event) break;
      out.append("<").append(progress->event->data).append(">");
      raw += progress->event->raw;
      CHECK(input.starts_with(raw));
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse;
  const std::string_view text = text_of({data, size});
  CHECK(read<wire::EventStreamParser>(text, 1) == read<wire::EventStreamParser>(text, size + 1));
  CHECK(read<wire::JsonArrayParser>(text, 1) == read<wire::JsonArrayParser>(text, size + 1));
  const std::string frame = wire::event_stream_frame({{":event-type", "x"}}, text.substr(0, 2048));
  CHECK(read<wire::EventStreamParser>(frame, 7) == "<" + std::string(text.substr(0, 2048)) + ">");
  return 0;
}
