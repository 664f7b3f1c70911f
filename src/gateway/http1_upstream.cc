// SPDX-License-Identifier: Apache-2.0
#include "gateway/http1_upstream.h"

namespace gatehouse::gateway {
namespace {

constexpr std::size_t kHeadRoom = 4096;

}  // namespace

Http1Upstream::Http1Upstream(Upstreams& upstreams, Upstreams::Connection connection)
    : upstreams_(upstreams),
      connection_(std::move(connection)),
      request_(*connection_.stream),
      answer_(*connection_.stream) {}

Result<void> Http1Upstream::begin(wire::RequestHead head, const SecretField& secret) {
  using Kind = wire::BodyFraming::Kind;
  method_ = head.method;
  head.version = wire::HttpVersion::k11;
  if (head.framing.kind == Kind::kLength) {
    head.headers.set("content-length", std::to_string(head.framing.length));
  } else if (head.framing.kind == Kind::kChunked) {
    head.headers.set("transfer-encoding", "chunked");
  }
  std::string& text = request_.head(head.framing.kind);
  text.reserve(kHeadRoom + secret.value.size());
  TRY(wire::append_request_head(text, head));
  if (secret.name.empty()) return {};
  // The head may have outgrown its room: once more, now that it holds no secret yet.
  text.reserve(text.size() + secret.name.size() + secret.value.size() + 8);
  request_.hold_secret();
  text.resize(text.size() - 2);  // before the empty line
  text.append(secret.name).append(": ").append(secret.value).append("\r\n\r\n");
  return {};
}

Result<std::optional<UpstreamExchange::Head>> Http1Upstream::head() {
  while (has_bytes()) {
    spoken_ = true;
    const wire::HeadProgress progress = TRY(parser_.feed(answer_.inbox.waiting()));
    answer_.inbox.take(progress.consumed);
    if (!progress.done) break;
    wire::ResponseHead head = parser_.take();
    parser_ = wire::ResponseParser();
    if (head.status < 200 && head.status != 101) continue;
    const wire::BodyFraming framing = TRY(wire::response_framing(head, method_));
    keep_ = !wire::ends_connection(head.version, head.headers)
            && framing.kind != wire::BodyFraming::Kind::kUntilClose;
    answer_.body.emplace(answer_.inbox, framing);
    return Head{std::move(head), framing};
  }
  return std::nullopt;
}

void Http1Upstream::release() {
  if (!answer_.is_done()) return;
  answer_.body->settle();
  if (keep_ && !has_bytes()) upstreams_.release(std::move(connection_));
}

Result<void> Http1Upstream::Answer::closed() {
  if (body) return body->closed();
  return failure(Error::kUpstream, "the connection closed without an answer");
}

const wire::Headers& Http1Upstream::Answer::trailers() const {
  static const wire::Headers kNone;
  return body ? body->trailers() : kNone;
}

}  // namespace gatehouse::gateway
