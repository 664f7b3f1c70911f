// SPDX-License-Identifier: Apache-2.0
#include "exporter/http_post.h"

#include <fmt/format.h>

#include <array>

#include "base/wiped.h"
#include "wire/http1.h"

namespace gatehouse::exporter {
namespace {

using net::Task;

constexpr std::size_t kBodyMost = 64 * 1024;
constexpr int kFirstFinal = 200;  // RFC 9110 section 15.2

Result<std::string> head_of(const wire::Url& to, std::size_t size) {
  wire::RequestHead head;
  head.method = "POST";
  head.target = to.path_and_query;
  head.headers.add("host", to.authority());
  head.headers.add("user-agent", "gatehouse/" GATEHOUSE_VERSION);
  head.headers.add("content-type", "application/json");
  head.headers.add("accept", "application/json");
  head.headers.add("content-length", std::to_string(size));
  head.headers.add("connection", "close");
  std::string text;
  TRY(wire::append_request_head(text, head));
  return text;
}

Failure broken(std::string_view why) {
  return failure(Error::kUpstream, fmt::format("the collector's answer: {}", why));
}

// As much of it as is kept; how it ends is all that matters of the rest.
Task<Result<std::string>> read_body(net::Stream* stream, wire::BodyFraming framing,
                                    std::string waiting, Deadline deadline) {
  std::array<char, 8192> buffer;
  wire::BodyReader reader(framing);
  std::string body;
  while (!reader.done() && body.size() < kBodyMost) {
    while (!waiting.empty() && !reader.done()) {
      const auto piece = reader.feed(waiting);
      if (!piece) co_return broken(piece.error().message());
      body += piece->payload.substr(0, kBodyMost - std::min(kBodyMost, body.size()));
      waiting.erase(0, piece->consumed);
    }
    if (reader.done()) break;
    const Result<std::size_t> got = co_await stream->read(buffer, deadline);
    if (!got && got.error() == Error::kTimeout) co_return Failure(got.error());
    if (!got || *got == 0) {
      CO_TRY(reader.finish());
      break;
    }
    waiting.append(buffer.data(), *got);
  }
  co_return body;
}

}  // namespace

Task<Result<PostAnswer>> post(net::Stream* stream, wire::Url to, std::string_view fields,
                              std::string body, Deadline deadline) {
  WipedText request;
  const std::string head = CO_TRY(head_of(to, body.size()));
  request.text.reserve(head.size() + fields.size() + body.size());
  request.text.append(head, 0, head.size() - 2).append(fields).append("\r\n").append(body);
  CO_TRY(co_await stream->write(request.text, deadline));
  std::array<char, 8192> buffer;
  std::string waiting;
  wire::ResponseHead answer;
  do {
    wire::ResponseParser parser;
    while (!parser.done()) {
      if (waiting.empty()) {
        const std::size_t got = CO_TRY(co_await stream->read(buffer, deadline));
        if (got == 0) co_return broken("none came");
        waiting.append(buffer.data(), got);
      }
      const auto progress = parser.feed(waiting);
      if (!progress) co_return broken(progress.error().message());
      waiting.erase(0, progress->consumed);
    }
    answer = parser.take();
  } while (answer.status < kFirstFinal);  // the others are heads of their own
  const wire::BodyFraming framing = CO_TRY(wire::response_framing(answer, "POST"));
  std::string said = CO_TRY(co_await read_body(stream, framing, std::move(waiting), deadline));
  co_return PostAnswer{answer.status, answer.headers, std::move(said)};
}

}  // namespace gatehouse::exporter
