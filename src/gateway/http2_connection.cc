// SPDX-License-Identifier: Apache-2.0
#include "gateway/http2_connection.h"

#include <cstring>
#include <map>
#include <set>

#include "base/encoding.h"
#include "base/log.h"
#include "base/random.h"
#include "gateway/connection.h"
#include "gateway/exchange.h"
#include "gateway/http2_stream.h"
#include "gateway/http2_tunnel.h"
#include "gateway/refusal.h"
#include "wire/http2.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr Nanos kIdleMost = std::chrono::seconds(75);                // without a stream
constexpr std::size_t kExchangesMost = 2 * wire::kHttp2StreamsMost;  // under way at once
constexpr std::size_t kWrittenAtOnce = 64 * 1024;

class Connection;

class Http2Caller final : public Caller, public MessageIn, public MessageOut {
 public:
  Http2Caller(Connection& connection, std::shared_ptr<Http2Stream> stream,
              const wire::RequestHead* head);
  ~Http2Caller() override;

  [[nodiscard]] MessageIn& request() override { return *this; }
  [[nodiscard]] MessageOut& answer() override { return *this; }
  [[nodiscard]] Task<Result<void>> send_continue(Deadline deadline) override;
  [[nodiscard]] Result<void> begin(wire::ResponseHead head, wire::BodyFraming body) override;
  [[nodiscard]] bool is_mid_answer() const override { return has_begun_ && !stream_.out_ended; }
  [[nodiscard]] bool takes_last_words() const override;
  void say_last_now(std::string_view words) override;
  [[nodiscard]] Task<void> say_last(std::string_view words, Deadline deadline) override;
  [[nodiscard]] Result<void> can_switch() override;
  [[nodiscard]] Task<Result<RawConnection>> switch_protocols(wire::ResponseHead head,
                                                             Deadline deadline) override;
  void ended_in_order() override { is_in_order_ = true; }
  [[nodiscard]] Task<void> refuse(Refusal refusal) override;
  void watch(net::Nursery&) override { stream_.is_watched = true; }

  [[nodiscard]] Result<Piece> piece() override;
  [[nodiscard]] Task<Result<bool>> more(Deadline deadline) override;
  [[nodiscard]] Result<void> closed() override {
    return failure(Error::kUpstream, "the stream ended before the end of the body");
  }
  [[nodiscard]] bool is_done() const override {
    return asks_websocket_ || (stream_.in_whole && stream_.in.size() == given_);
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
  // What the stream is once it has changed to WebSocket.
  struct Raw {
    explicit Raw(std::shared_ptr<Http2Stream> stream)
        : bytes(std::move(stream), wire::Http2Code::kCancel), inbox(bytes) {}
    Http2Bytes bytes;
    Inbox inbox;
  };
  Connection& connection_;
  std::shared_ptr<Http2Stream> kept_;
  Http2Stream& stream_;
  std::int32_t id_;
  bool to_head_;
  bool asks_websocket_;       // its request has no body: what comes is of the WebSocket
  bool named_key_;            // and looks for the answer to it
  bool is_in_order_ = false;  // what became of it was told to the agent
  std::optional<Raw> raw_;
  bool has_begun_ = false;
  bool knows_length_ = false;
  std::size_t given_ = 0;  // of `in`, by the last piece
};

class Connection final : public wire::Http2Handler, public Http2Streams {
 public:
  Connection(Gate& gate, Door& door, Client& client, Place place)
      : gate_(gate),
        door_(door),
        client_(client),
        place_(std::move(place)),
        // In TLS clients choose HTTP/2 by themselves, and some of those (Node's, as an experiment)
        // then try a WebSocket in it that comes to nothing.
        session_(*this, !place_.tls),
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
    forget_streams();
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
      const bool is_idle = is_quiet() && gate_.loop.now() >= quiet_since_ + kIdleMost;
      if (more && *more && !is_idle) continue;
      if (!more && more.error() == Error::kTimeout && !is_idle) continue;
      session_.drain();
      break;
    }
    has_ended_ = true;
    exchanges_.cancel_all();
    forget_streams();
    // What is to be said yet: why it ends.
    wake_writer();
    const Deadline deadline = gate_.loop.in(kClientTakesMost);
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
  [[nodiscard]] Result<void> answer(std::int32_t id, const wire::ResponseHead& head,
                                    bool has_body) override {
    TRY(session_.answer(id, head, has_body));
    wake_writer();
    return {};
  }
  void taken(std::int32_t id, std::size_t count) override {
    session_.taken(id, count);
    wake_writer();
  }
  void resume(std::int32_t id) override {
    session_.resume(id);
    wake_writer();
  }
  void let_go(Http2Stream& stream, wire::Http2Code code) override {
    stream.is_let_go = true;
    stream.last = code;
    const bool goes_on = stream.waiting() > 0 || (stream.out_ends && !stream.out_ended);
    if (goes_on && !stream.is_over) {
      ++lingering_;
      quiet_since_ = gate_.loop.now();
      return resume(stream.id);
    }
    end_let_go(stream);
    wake_writer();
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
  [[nodiscard]] bool is_quiet() const { return streams_.size() == lingering_; }
  [[nodiscard]] Deadline idle_until() {
    return is_quiet() ? Deadline(quiet_since_ + kIdleMost) : gate_.loop.in(kIdleMost);
  }
  void end_stream(std::int32_t id) {
    streams_.erase(id);
    quiet_since_ = gate_.loop.now();
  }
  void end_let_go(const Http2Stream& stream) {
    const bool whole = stream.out_ended && stream.in_whole;
    if (!whole && !stream.is_over) session_.reset(stream.id, stream.last);
    end_stream(stream.id);
  }
  // Who still serves one finds that it is over.
  void forget_streams() {
    lingering_ = 0;
    for (const auto& [id, stream] : std::exchange(streams_, {})) {
      stream->connection = nullptr;
      stream->is_over = true;
      stream->came.set();
      stream->went.set();
    }
  }

  void on_request(std::int32_t id, Result<wire::RequestHead> head) override {
    // Streams that were reset count until their Exchange is over.
    if (streams_.size() >= kExchangesMost) return session_.reset(id, wire::Http2Code::kRefused);
    const auto stream = std::make_shared<Http2Stream>(gate_.loop, *this, id);
    streams_[id] = stream;
    stream->exchange = exchanges_.spawn(serve_stream(this, stream, std::move(head)));
  }
  void on_body(std::int32_t id, std::string_view payload) override {
    if (Http2Stream* stream = find(id)) {
      stream->in += payload;
      stream->came.set();
    }
  }
  void on_end(std::int32_t id, wire::Headers trailers) override {
    if (Http2Stream* stream = find(id)) {
      stream->in_whole = true;
      stream->in_trailers = std::move(trailers);
      stream->came.set();
    }
  }
  void on_close(std::int32_t id, std::uint32_t) override {
    Http2Stream* stream = find(id);
    if (stream == nullptr || (stream->out_ended && !stream->is_raw)) return;
    stream->is_over = true;
    stream->came.set();
    stream->went.set();
    if (stream->is_watched || stream->is_let_go) left_.insert(id);
  }
  Pulled on_pull(std::int32_t id, char* into, std::size_t room, wire::Headers& trailers) override {
    Http2Stream* stream = find(id);
    if (stream == nullptr) return {Pulled::What::kGone, 0};
    const std::size_t count = std::min(room, stream->out.size() - stream->out_at);
    std::memcpy(into, stream->out.data() + stream->out_at, count);
    stream->out_at += count;
    const bool all = stream->out_at == stream->out.size();
    if (all) {
      stream->out.clear();
      stream->out_at = 0;
      stream->went.set();
      if (stream->is_let_go) left_.insert(id);
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
      if (found->second->is_let_go) {
        --lingering_;
        end_let_go(*std::shared_ptr(found->second));
        output_.set();
        continue;
      }
      ++gate_.counters.client_left;
      exchanges_.cancel(found->second->exchange);
      end_stream(id);
    }
  }

  static Task<void> serve_stream(Connection* self, std::shared_ptr<Http2Stream> stream,
                                 Result<wire::RequestHead> head) {
    co_await self->serve_request(stream, std::move(head));
    if (stream->is_raw) co_return;  // who has its bytes lets it go
    self->end_stream(stream->id);
    self->wake_writer();
  }
  Task<void> serve_request(std::shared_ptr<Http2Stream> stream, Result<wire::RequestHead> head) {
    Http2Caller caller(*this, stream, head ? &*head : nullptr);
    if (head) name_key(*head);
    if (!head) co_return co_await refuse_malformed(caller, head.error());
    if (client_.admission) {
      const auto admitted = admitted_again(gate_, door_, client_, *head);
      if (!admitted) {
        gate_.attach().refused(client_, admitted.error());
        co_return co_await caller.refuse(
            {admitted.error().error, ipc::ServiceKind::kHttp, "", "", door_.headers()});
      }
    }
    if (head->form == wire::TargetForm::kAuthority) {
      co_return co_await connect(caller, std::move(stream), std::move(*head));
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
  // A WebSocket in a stream needs no key (RFC 8441 section 5), and what is asked upstream needs
  // one.
  static void name_key(wire::RequestHead& head) {
    if (!wire::asks_for_websocket(head) || wire::has_websocket_key(head.headers)) return;
    std::array<std::uint8_t, 16> nonce{};
    fill_random(nonce);
    head.headers.set("sec-websocket-key", to_base64(text_of(nonce)));
  }
  // A tunnel is a connection of its own, by the same rules and bounds.
  Task<void> connect(Http2Caller& caller, std::shared_ptr<Http2Stream> stream,
                     wire::RequestHead head) {
    if (place_.entrance != Entrance::kProxy || place_.host || place_.address) {
      co_return co_await refuse_malformed(
          caller, {Error::kInvalid, "CONNECT inside a connection to one host"});
    }
    if (gate_.is_full(door_)) {
      gate_.counters.refuse(Error::kExhausted);
      co_return co_await caller.refuse(
          {Gate::full(), ipc::ServiceKind::kHttp, "", "", door_.headers(), true});
    }
    auto client =
        std::make_unique<Client>(std::make_unique<Http2Bytes>(stream, wire::Http2Code::kConnect));
    client->admission = client_.admission;
    gate_.serve_as_connection(door_, [&](Listed listed) {
      return serve_stream_tunnel(&gate_, &door_, std::move(listed), std::move(client),
                                 std::move(stream), std::move(head));
    });
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
            co_await self->client_.stream->write(bytes, self->gate_.loop.in(kClientTakesMost));
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
  Http2Stream* find(std::int32_t id) {
    const auto found = streams_.find(id);
    return found == streams_.end() ? nullptr : found->second.get();
  }

  Gate& gate_;
  Door& door_;
  Client& client_;
  Place place_;
  std::map<std::int32_t, std::shared_ptr<Http2Stream>> streams_;  // that somebody serves
  std::size_t lingering_ = 0;    // of them, let go: what they said last is not taken yet
  std::set<std::int32_t> left_;  // whose Exchange is to be ended
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

Http2Caller::Http2Caller(Connection& connection, std::shared_ptr<Http2Stream> stream,
                         const wire::RequestHead* head)
    : connection_(connection),
      kept_(std::move(stream)),
      stream_(*kept_),
      id_(stream_.id),
      to_head_(head != nullptr && head->method == "HEAD"),
      asks_websocket_(head != nullptr && wire::asks_for_websocket(*head)),
      named_key_(head != nullptr && wire::has_websocket_key(head->headers)) {}

Http2Caller::~Http2Caller() {
  if (raw_ && !is_in_order_) raw_->bytes.close_with_reset();
  if (stream_.is_raw) return;
  const bool whole = stream_.out_ended && stream_.in_whole && stream_.in.size() == given_;
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

Result<void> Http2Caller::can_switch() {
  if (!asks_websocket_) {
    return failure(Error::kUnsupported, "a stream of HTTP/2 changes to WebSocket alone");
  }
  if (stream_.in.empty()) return {};
  return failure(Error::kInvalid,
                 "bytes came behind a request to change the protocol, before it was answered");
}

// What is a 101 elsewhere (RFC 8441 section 5.1).
Task<Result<RawConnection>> Http2Caller::switch_protocols(wire::ResponseHead head, Deadline) {
  CO_TRY(can_switch());
  head.status = 200;
  if (!named_key_) head.headers.remove("sec-websocket-accept");
  CO_TRY(begin(std::move(head), {wire::BodyFraming::Kind::kChunked, 0}));
  connection_.wake_writer();
  raw_.emplace(kept_);
  co_return RawConnection{&raw_->bytes, &raw_->inbox};
}

Result<Piece> Http2Caller::piece() {
  if (asks_websocket_) return Piece{{}, true};
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
  wire::ResponseHead head = refusal_head(parts, connection_.door());
  using Kind = wire::BodyFraming::Kind;
  const wire::BodyFraming body = to_head_ ? wire::BodyFraming{Kind::kNone, 0}
                                          : wire::BodyFraming{Kind::kLength, parts.body.size()};
  if (!begin(std::move(head), body)) co_return;
  const wire::Headers none;
  (void)co_await finish(to_head_ ? "" : parts.body, none, connection_.loop().in(kClientTakesMost));
}

}  // namespace

Task<void> serve_http2(Gate& gate, Door& door, Client& client, Place place) {
  Connection connection(gate, door, client, std::move(place));
  co_await connection.serve();
}

}  // namespace gatehouse::gateway
