// SPDX-License-Identifier: Apache-2.0
#include "gateway/http2_connection.h"

#include <cstring>
#include <map>
#include <set>

#include "base/log.h"
#include "gateway/connection.h"
#include "gateway/exchange.h"
#include "gateway/refusal.h"
#include "wire/http2.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr Nanos kIdleMost = std::chrono::seconds(75);  // without a stream
constexpr Nanos kWriteMost = std::chrono::seconds(20);
constexpr Nanos kLingerMost = std::chrono::seconds(2);
constexpr std::size_t kExchangesMost = 2 * wire::kHttp2StreamsMost;  // under way at once
constexpr std::size_t kWrittenAtOnce = 64 * 1024;

// One stream, between the session and its Exchange.
struct Stream {
  explicit Stream(net::Loop& loop) : came(loop), went(loop) {}
  // In: not more than its window, which opens again with what is taken.
  std::string in;
  bool in_whole = false;
  wire::Headers in_trailers;
  net::Event came;
  // Out: what was flushed is pulled by the session.
  std::string out;
  std::size_t out_at = 0;  // so much of it was pulled
  bool out_ends = false;
  bool out_ended = false;
  wire::Headers out_trailers;
  net::Event went;
  bool is_over = false;     // reset, or the connection has ended
  bool is_watched = false;  // its end ends the Exchange at once
  net::Nursery::Child* exchange = nullptr;
};

class Connection;

class Http2Caller final : public Caller, public MessageIn, public MessageOut {
 public:
  Http2Caller(Connection& connection, std::int32_t id, Stream& stream, bool to_head)
      : connection_(connection), id_(id), stream_(stream), to_head_(to_head) {}
  ~Http2Caller() override;

  [[nodiscard]] MessageIn& request() override { return *this; }
  [[nodiscard]] MessageOut& answer() override { return *this; }
  [[nodiscard]] Task<Result<void>> send_continue(Deadline deadline) override;
  [[nodiscard]] Result<void> begin(wire::ResponseHead head, wire::BodyFraming body) override;
  [[nodiscard]] bool is_mid_answer() const override { return has_begun_ && !stream_.out_ended; }
  [[nodiscard]] bool takes_last_words() const override;
  void say_last_now(std::string_view words) override;
  [[nodiscard]] Task<void> say_last(std::string_view words, Deadline deadline) override;
  [[nodiscard]] Result<void> can_switch() override {
    return failure(Error::kUnsupported, "a stream of HTTP/2 does not change its protocol");
  }
  [[nodiscard]] Task<Result<RawConnection>> switch_protocols(wire::ResponseHead,
                                                             Deadline) override {
    co_return Failure(can_switch().error());
  }
  void ended_in_order() override {}
  [[nodiscard]] Task<void> refuse(Refusal refusal) override;
  void watch(net::Nursery&) override { stream_.is_watched = true; }

  [[nodiscard]] Result<Piece> piece() override;
  [[nodiscard]] Task<Result<bool>> more(Deadline deadline) override;
  [[nodiscard]] Result<void> closed() override {
    return failure(Error::kUpstream, "the stream ended before the end of the body");
  }
  [[nodiscard]] bool is_done() const override {
    return stream_.in_whole && stream_.in.size() == given_;
  }
  [[nodiscard]] const wire::Headers& trailers() const override { return stream_.in_trailers; }

  void add(std::string_view payload) override { stream_.out += payload; }
  [[nodiscard]] std::size_t waiting() const override { return stream_.out.size() - stream_.out_at; }
  void discard() override {
    stream_.out.clear();
    stream_.out_at = 0;
  }
  [[nodiscard]] Task<Result<void>> flush(Deadline deadline) override;
  [[nodiscard]] Task<Result<void>> finish(std::string_view rest, const wire::Headers& trailers,
                                          Deadline deadline) override;

 private:
  Connection& connection_;
  std::int32_t id_;
  Stream& stream_;
  bool to_head_;
  bool has_begun_ = false;
  bool knows_length_ = false;
  std::size_t given_ = 0;  // of `in`, by the last piece
};

class Connection final : public wire::Http2Handler {
 public:
  Connection(Gate& gate, Door& door, Client& client, Place place)
      : gate_(gate),
        door_(door),
        client_(client),
        place_(std::move(place)),
        session_(*this),
        output_(gate.loop),
        written_(gate.loop),
        quiet_since_(gate.loop.now()),
        writer_(gate.loop),
        exchanges_(gate.loop) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  // Whoever is cut here is told so by RST_STREAM, and by GOAWAY which requests were begun with: a
  // client may send the others elsewhere (RFC 9113 section 6.8). Where that does not go out whole,
  // by a reset of the connection.
  ~Connection() override {
    const bool cuts = !streams_.empty();
    exchanges_.cancel_all();
    if (has_ended_) return;
    session_.drain();
    const bool all_went = write_now();
    if (cuts) client_.mid_answer = !all_went;
  }

  Task<void> serve() {
    writer_.spawn(write_all(this));
    while (true) {
      const std::string_view waiting = client_.inbox.waiting();
      const Result<void> fed = session_.feed(waiting, gate_.loop.now());
      client_.inbox.take(waiting.size());
      end_left();
      wake_writer();
      if (!fed) {
        (void)record_malformed(gate_, door_, place_, fed.error());
        break;
      }
      if (session_.is_over()) break;
      const Result<bool> more = co_await client_.inbox.fill(idle_until());
      const bool is_idle = streams_.empty() && gate_.loop.now() >= quiet_since_ + kIdleMost;
      if (more && *more && !is_idle) continue;
      if (!more && more.error() == Error::kTimeout && !is_idle) continue;
      session_.drain();
      break;
    }
    has_ended_ = true;
    exchanges_.cancel_all();
    streams_.clear();
    // What is to be said yet: why it ends.
    wake_writer();
    const Deadline deadline = gate_.loop.in(kWriteMost);
    if (!co_await written_.wait(deadline)) co_return;
    // Closing while it still sends would destroy what was said before it is read.
    if (!co_await client_.stream->finish(deadline)) co_return;
    const Deadline patience = gate_.loop.in(kLingerMost);
    do {
      client_.inbox.take(client_.inbox.waiting().size());
    } while ((co_await client_.inbox.fill(patience)).value_or(false));
  }

  net::Loop& loop() { return gate_.loop; }
  wire::Http2Server& session() { return session_; }
  Door& door() { return door_; }
  void wake_writer() {
    written_.reset();
    output_.set();
  }
  // Sends what there is without waiting; whether all of it went.
  bool write_now() {
    if (is_writing_) return false;
    const std::string bytes = gathered();
    return client_.stream->write_now(bytes) == bytes.size();
  }

 private:
  // Without a stream it counts from the last one's end, whatever comes meanwhile: pings, or a head
  // byte by byte, keep nothing open.
  [[nodiscard]] Deadline idle_until() {
    return streams_.empty() ? Deadline(quiet_since_ + kIdleMost) : gate_.loop.in(kIdleMost);
  }
  void end_stream(std::int32_t id) {
    streams_.erase(id);
    quiet_since_ = gate_.loop.now();
  }

  void on_request(std::int32_t id, Result<wire::RequestHead> head) override {
    // Streams that were reset count until their Exchange is over.
    if (streams_.size() >= kExchangesMost) return session_.reset(id, wire::Http2Code::kRefused);
    auto stream = std::make_unique<Stream>(gate_.loop);
    Stream& made = *stream;
    streams_[id] = std::move(stream);
    made.exchange = exchanges_.spawn(serve_stream(this, id, &made, std::move(head)));
  }
  void on_body(std::int32_t id, std::string_view payload) override {
    if (Stream* stream = find(id)) {
      stream->in += payload;
      stream->came.set();
    }
  }
  void on_end(std::int32_t id, wire::Headers trailers) override {
    if (Stream* stream = find(id)) {
      stream->in_whole = true;
      stream->in_trailers = std::move(trailers);
      stream->came.set();
    }
  }
  void on_close(std::int32_t id, std::uint32_t) override {
    Stream* stream = find(id);
    if (stream == nullptr || stream->out_ended) return;
    stream->is_over = true;
    stream->came.set();
    stream->went.set();
    if (stream->is_watched) left_.insert(id);
  }
  Pulled on_pull(std::int32_t id, char* into, std::size_t room, wire::Headers& trailers) override {
    Stream* stream = find(id);
    if (stream == nullptr) return {Pulled::What::kGone, 0};
    const std::size_t count = std::min(room, stream->out.size() - stream->out_at);
    std::memcpy(into, stream->out.data() + stream->out_at, count);
    stream->out_at += count;
    const bool all = stream->out_at == stream->out.size();
    if (all) {
      stream->out.clear();
      stream->out_at = 0;
      stream->went.set();
    }
    if (all && stream->out_ends) {
      stream->out_ended = true;
      trailers = std::move(stream->out_trailers);
      return {Pulled::What::kEnd, count};
    }
    return {count == 0 ? Pulled::What::kNothingYet : Pulled::What::kBytes, count};
  }

  // Not from inside of the session, nor of an Exchange.
  void end_left() {
    for (const std::int32_t id : std::exchange(left_, {})) {
      const auto found = streams_.find(id);
      if (found == streams_.end()) continue;
      ++gate_.counters.client_left;
      exchanges_.cancel(found->second->exchange);
      end_stream(id);
    }
  }

  static Task<void> serve_stream(Connection* self, std::int32_t id, Stream* stream,
                                 Result<wire::RequestHead> head) {
    co_await self->serve_request(id, *stream, std::move(head));
    self->end_stream(id);
    self->wake_writer();
  }
  Task<void> serve_request(std::int32_t id, Stream& stream, Result<wire::RequestHead> head) {
    Http2Caller caller(*this, id, stream, head && head->method == "HEAD");
    if (!head) co_return co_await refuse_malformed(caller, head.error());
    if (client_.admission) {
      const auto admitted = admitted_again(gate_, door_, client_, *head);
      if (!admitted) {
        gate_.attach().refused(client_, admitted.error());
        co_return co_await caller.refuse(
            {admitted.error().error, ipc::ServiceKind::kHttp, "", "", door_.headers()});
      }
    }
    // Inside of TLS a request for http would be one thing here and another at the upstream.
    if (place_.tls != (head->scheme == wire::Scheme::kHttps) && head->scheme) {
      co_return co_await refuse_malformed(
          caller, {Error::kInvalid, "the request's :scheme is not that of its connection"});
    }
    Result<Decoded> decoded = decode(door_, place_, std::move(*head));
    if (!decoded) co_return co_await refuse_malformed(caller, decoded.error());
    co_await serve_exchange(gate_, door_, caller, std::make_unique<Decoded>(std::move(*decoded)));
  }
  Task<void> refuse_malformed(Http2Caller& caller, Error error) {
    const ipc::ServiceKind dialect = record_malformed(gate_, door_, place_, error);
    co_await caller.refuse({std::move(error), dialect, "", "", door_.headers()});
  }

  // What is ready to be sent, as much as one write takes.
  std::string gathered() {
    std::string bytes;
    while (bytes.size() < kWrittenAtOnce) {
      const std::string_view next = session_.next_output();
      if (next.empty()) break;
      bytes += next;
    }
    return bytes;
  }
  static Task<void> write_all(Connection* self) {
    while (true) {
      (void)co_await self->output_.wait(Deadline::never());
      self->output_.reset();
      for (std::string bytes = self->gathered(); !bytes.empty(); bytes = self->gathered()) {
        self->end_left();
        self->is_writing_ = true;
        const Result<void> written =
            co_await self->client_.stream->write(bytes, self->gate_.loop.in(kWriteMost));
        if (!written) {
          // The reader may wait for a long time yet.
          self->gate_.cancel_soon(self->door_, self->client_.connection);
          co_return;
        }
        self->is_writing_ = false;
      }
      self->end_left();
      if (!self->output_.is_set()) self->written_.set();
    }
  }
  Stream* find(std::int32_t id) {
    const auto found = streams_.find(id);
    return found == streams_.end() ? nullptr : found->second.get();
  }

  Gate& gate_;
  Door& door_;
  Client& client_;
  Place place_;
  std::map<std::int32_t, std::unique_ptr<Stream>> streams_;  // whose Exchange is not over
  std::set<std::int32_t> left_;                              // whose Exchange is to be ended
  wire::Http2Server session_;
  net::Event output_;   // there may be something to be sent
  net::Event written_;  // all of it is
  bool is_writing_ = false;
  bool has_ended_ = false;  // in order, or for what the agent did
  Instant quiet_since_;     // when there was a stream last
  net::Nursery writer_;
  net::Nursery exchanges_;
};

// --- the caller's side of a stream

Http2Caller::~Http2Caller() {
  const bool whole = stream_.out_ended && is_done();
  if (whole || stream_.is_over) return;
  // An answer before the request's end: the rest of that is not wanted (RFC 9113 section 8.1).
  connection_.session().reset(
      id_, stream_.out_ended ? wire::Http2Code::kNone : wire::Http2Code::kInternal);
  connection_.wake_writer();
}

Task<Result<void>> Http2Caller::send_continue(Deadline) {
  connection_.session().interim(id_, 100);
  connection_.wake_writer();
  co_return Result<void>();
}

Result<void> Http2Caller::begin(wire::ResponseHead head, wire::BodyFraming body) {
  using Kind = wire::BodyFraming::Kind;
  if (stream_.is_over) return failure(Error::kClosed, "the agent has reset the stream");
  wire::remove_hop_by_hop(head.headers);
  knows_length_ = body.kind == Kind::kLength;
  if (body.kind != Kind::kNone) head.headers.remove("content-length");
  if (knows_length_) head.headers.set("content-length", std::to_string(body.length));
  TRY(connection_.session().answer(id_, head, body.kind != Kind::kNone));
  has_begun_ = true;
  // Its head ends it: nothing will be pulled.
  if (body.kind == Kind::kNone) stream_.out_ended = true;
  return {};
}

Result<Piece> Http2Caller::piece() {
  if (given_ > 0) {
    stream_.in.erase(0, given_);
    connection_.session().taken(id_, given_);
    connection_.wake_writer();
    given_ = 0;
  }
  if (stream_.in.empty()) return Piece{{}, stream_.in_whole};
  given_ = stream_.in.size();
  return Piece{stream_.in, stream_.in_whole};
}

Task<Result<bool>> Http2Caller::more(Deadline deadline) {
  stream_.came.reset();
  if (stream_.in_whole || stream_.in.size() > given_) co_return true;
  if (stream_.is_over) co_return false;
  CO_TRY(co_await stream_.came.wait(deadline));
  co_return stream_.in_whole || stream_.in.size() > given_ || !stream_.is_over;
}

Task<Result<void>> Http2Caller::flush(Deadline deadline) {
  connection_.session().resume(id_);
  connection_.wake_writer();
  while (!stream_.is_over && (waiting() > 0 || (stream_.out_ends && !stream_.out_ended))) {
    stream_.went.reset();
    CO_TRY(co_await stream_.went.wait(deadline));
  }
  if (stream_.is_over && !stream_.out_ended) {
    discard();
    co_return failure(Error::kClosed, "the agent has reset the stream");
  }
  co_return Result<void>();
}

Task<Result<void>> Http2Caller::finish(std::string_view rest, const wire::Headers& trailers,
                                       Deadline deadline) {
  if (stream_.out_ended) {  // by its head
    connection_.wake_writer();
    co_return Result<void>();
  }
  add(rest);
  stream_.out_trailers = trailers;
  stream_.out_ends = true;
  co_return co_await flush(deadline);
}

bool Http2Caller::takes_last_words() const {
  return is_mid_answer() && !knows_length_ && !stream_.out_ends && !stream_.is_over;
}

void Http2Caller::say_last_now(std::string_view words) {
  add(words);
  connection_.session().resume(id_);
  (void)connection_.write_now();
  // Not in the same turn as what was said: a reset overtakes it.
  connection_.session().reset(id_, wire::Http2Code::kCancel);
  stream_.is_over = true;
  (void)connection_.write_now();
}

Task<void> Http2Caller::say_last(std::string_view words, Deadline deadline) {
  add(words);
  (void)co_await flush(deadline);
}

Task<void> Http2Caller::refuse(Refusal refusal) {
  refusal.to_head = to_head_;
  const RefusalParts parts = parts_of(refusal);
  wire::ResponseHead head;
  head.status = parts.status;
  head.headers.add("content-type", parts.content_type);
  head.headers.add("cache-control", "no-store");
  head.headers.add("x-gatehouse-error", parts.label);
  if (parts.retry_after_s != 0)
    head.headers.add("retry-after", std::to_string(parts.retry_after_s));
  head.headers.add("x-gatehouse-run", connection_.door().run.run.text());
  head.headers.add("x-gatehouse-trace", connection_.door().run.trace.text());
  head.headers.add("content-length", std::to_string(parts.body.size()));
  using Kind = wire::BodyFraming::Kind;
  const wire::BodyFraming body = to_head_ ? wire::BodyFraming{Kind::kNone, 0}
                                          : wire::BodyFraming{Kind::kLength, parts.body.size()};
  if (!begin(std::move(head), body)) co_return;
  const wire::Headers none;
  (void)co_await finish(to_head_ ? "" : parts.body, none, connection_.loop().in(kWriteMost));
}

}  // namespace

Task<void> serve_http2(Gate& gate, Door& door, Client& client, Place place) {
  Connection connection(gate, door, client, std::move(place));
  co_await connection.serve();
}

}  // namespace gatehouse::gateway
