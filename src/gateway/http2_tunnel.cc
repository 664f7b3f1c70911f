// SPDX-License-Identifier: Apache-2.0
#include "gateway/http2_tunnel.h"

#include "gateway/tunnel.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

// What every answer says of its Run.
void say_run(wire::ResponseHead& head, const Door& door) {
  head.headers.add("x-gatehouse-run", door.run.run.text());
  head.headers.add("x-gatehouse-trace", door.run.trace.text());
}

// How who asked for a tunnel in a stream hears of it.
class StreamConnecting final : public Connecting {
 public:
  StreamConnecting(Gate& gate, const Door& door, Client& client, Http2Stream& stream)
      : gate_(gate), door_(door), client_(client), stream_(stream) {}
  [[nodiscard]] Task<Result<void>> established() override;
  [[nodiscard]] Task<void> refuse(Refusal refusal) override;

 private:
  Gate& gate_;
  const Door& door_;
  Client& client_;
  Http2Stream& stream_;
};

Task<Result<void>> StreamConnecting::established() {
  if (stream_.connection == nullptr) co_return failure(Error::kClosed, "the agent has left");
  wire::ResponseHead head;
  say_run(head, door_);
  co_return stream_.connection->answer(stream_.id, head, true);
}

Task<void> StreamConnecting::refuse(Refusal refusal) {
  const RefusalParts parts = parts_of(refusal);
  const bool is_heard =
      stream_.connection != nullptr
      && stream_.connection->answer(stream_.id, refusal_head(parts, door_), true).has_value();
  if (!is_heard) co_return;
  const Deadline deadline = gate_.loop.in(kClientTakesMost);
  if (co_await client_.stream->write(parts.body, deadline)) {
    (void)co_await client_.stream->finish(deadline);
  }
}

}  // namespace

wire::ResponseHead refusal_head(const RefusalParts& parts, const Door& door) {
  wire::ResponseHead head;
  head.status = parts.status;
  head.headers.add("content-type", parts.content_type);
  head.headers.add("cache-control", "no-store");
  head.headers.add("x-gatehouse-error", parts.label);
  if (parts.retry_after_s != 0)
    head.headers.add("retry-after", std::to_string(parts.retry_after_s));
  say_run(head, door);
  head.headers.add("content-length", std::to_string(parts.body.size()));
  return head;
}

Task<void> serve_stream_tunnel(Gate* gate, Door* door, Listed listed,
                               std::unique_ptr<Client> client, std::shared_ptr<Http2Stream> stream,
                               wire::RequestHead head) {
  client->connection = listed.id();
  if (gate->is_killed(door->run.run)) {
    gate->counters.refuse(Error::kKilled);
    co_return client->stream->close_with_reset();
  }
  StreamConnecting connecting(*gate, *door, *client, *stream);
  co_await serve_connect(*gate, *door, *client, std::move(head), connecting);
}

}  // namespace gatehouse::gateway
