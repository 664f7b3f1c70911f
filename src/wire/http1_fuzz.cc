// SPDX-License-Identifier: Apache-2.0
// The first byte chooses the parser and the step; any step must give what the whole gives.
#include <algorithm>
#include <cstdlib>

#include "base/encoding.h"
#include "wire/http1.h"

namespace gatehouse::wire {
namespace {

template <class Parser>
std::string read_head(std::string_view text, std::size_t step) {
  Parser parser;
  std::size_t at = 0;
  while (at < text.size() && !parser.done()) {
    const auto progress = parser.feed(text.substr(at, step));
    if (!progress) return progress.error().message();
    at += progress->consumed;
  }
  if (!parser.done()) return "more";
  std::string out = std::to_string(at) + " ";
  const auto head = parser.take();
  if constexpr (std::is_same_v<Parser, RequestParser>) {
    if (!append_request_head(out, head)) std::abort();
  } else {
    if (!append_response_head(out, head)) std::abort();
  }
  return out;
}

std::string read_body(std::string_view text, std::size_t step) {
  BodyReader reader({BodyFraming::Kind::kChunked, 0});
  std::string out;
  std::size_t at = 0;
  while (at < text.size() && !reader.done()) {
    if (step % 2 == 0 && reader.plain() > 0) {
      const std::size_t taken = std::min<std::uint64_t>(reader.plain(), text.size() - at);
      out += text.substr(at, taken);
      reader.took(taken);
      at += taken;
      continue;
    }
    const auto piece = reader.feed(text.substr(at, step));
    if (!piece) return piece.error().message();
    out += piece->payload;
    at += piece->consumed;
  }
  return out + std::to_string(at) + (reader.done() ? " done" : " more");
}

}  // namespace
}  // namespace gatehouse::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse::wire;
  if (size == 0) return 0;
  const std::string_view text = gatehouse::text_of({data + 1, size - 1});
  const std::size_t step = 1 + data[0] / 3;
  const auto read = data[0] % 3 == 0   ? read_head<RequestParser>
                    : data[0] % 3 == 1 ? read_head<ResponseParser>
                                       : read_body;
  if (read(text, size + 1) != read(text, step)) std::abort();
  return 0;
}
