// SPDX-License-Identifier: Apache-2.0
#include "gateway/http2_upstream.h"

#include <algorithm>
#include <cstring>

namespace gatehouse::gateway {

using net::Task;

namespace {

constexpr Nanos kWriteMost = std::chrono::seconds(20);
constexpr std::size_t kWrittenAtOnce = 16 * 1024;
constexpr std::size_t kFrameMost = 16 * 1024 + 9;  // RFC 9113 sections 4.1 and 6.5.2

// As the head of an answer of HTTP/1.1 says it: what ends with its head has no body, but for those
// that never have one a client of HTTP/1.1 must be told so.
Result<wire::BodyFraming> framing_of(const wire::ResponseHead& head, std::string_view method,
                                     bool ended) {
  using Kind = wire::BodyFraming::Kind;
  wire::BodyFraming framing = TRY(wire::response_framing(head, method));
  if (framing.kind == Kind::kUntilClose) framing = {Kind::kChunked, 0};
  if (ended && framing.kind == Kind::kChunked) framing = {Kind::kLength, 0};
  return framing;
}

}  // namespace

// One stream of a link.
class Http2Upstream final : public UpstreamExchange, public MessageIn, public MessageOut {
 public:
  explicit Http2Upstream(std::shared_ptr<Http2Link> link)
      : link_(std::move(link)),
        is_kept_(link_->has_carried_),
        came_(link_->loop_),
        went_(link_->loop_) {
    link_->enter();
  }
  ~Http2Upstream() override {
    if (id_ != 0 && !is_over_) {
      link_->session_.reset(id_, wire::Http2Code::kCancel);
      link_->wake_writer();
    }
    link_->leave(id_);
  }

  [[nodiscard]] Result<void> begin(wire::RequestHead head, const SecretField& secret) override;
  [[nodiscard]] MessageOut& request() override { return *this; }
  [[nodiscard]] Result<std::optional<Head>> head() override;
  [[nodiscard]] MessageIn& answer() override { return *this; }
  [[nodiscard]] bool has_spoken() const override { return has_spoken_; }
  [[nodiscard]] bool is_on_kept_connection() const override { return is_kept_; }
  [[nodiscard]] bool was_not_processed() const override { return was_not_processed_; }
  void release() override {}

  [[nodiscard]] Result<Piece> piece() override;
  [[nodiscard]] Task<Result<bool>> more(Deadline deadline) override;
  [[nodiscard]] Result<void> closed() override { return failure(Error::kUpstream, why_); }
  [[nodiscard]] bool is_done() const override {
    return in_whole_ && !head_ && in_.size() == given_;
  }
  [[nodiscard]] const wire::Headers& trailers() const override { return in_trailers_; }

  void add(std::string_view payload) override { out_ += payload; }
  [[nodiscard]] std::size_t waiting() const override { return out_.size() - out_at_; }
  void discard() override {
    out_.clear();
    out_at_ = 0;
  }
  [[nodiscard]] Task<Result<void>> flush(Deadline deadline) override;
  [[nodiscard]] Task<Result<void>> finish(std::string_view rest, const wire::Headers& trailers,
                                          Deadline deadline) override;

 private:
  friend class Http2Link;
  // Whether there is something that `piece` or `head` gives.
  [[nodiscard]] bool is_at_hand() const {
    return head_ || in_.size() > given_ || in_whole_ || (is_over_ && !had_head_);
  }
  void took(Result<wire::ResponseHead> head, bool ended);
  void ended(wire::Http2Ending ending);

  std::shared_ptr<Http2Link> link_;
  std::int32_t id_ = 0;  // none yet
  std::string method_;
  bool is_kept_;
  // In: of a body not more than the stream's window, which opens again with what is taken.
  std::optional<Result<Head>> head_;  // that was not asked for yet
  std::string in_;
  std::size_t given_ = 0;  // of it, by the last piece
  bool had_head_ = false;
  bool in_whole_ = false;
  wire::Headers in_trailers_;
  net::Event came_;
  // Out: pulled by the session.
  std::string out_;
  std::size_t out_at_ = 0;  // so much of it was pulled
  bool out_ends_ = false;
  bool out_ended_ = false;
  wire::Headers out_trailers_;
  net::Event went_;
  bool is_over_ = false;  // by either side
  bool has_spoken_ = false;
  bool was_not_processed_ = false;
  std::string why_ = "the connection ended before the answer did";
};

Result<void> Http2Upstream::begin(wire::RequestHead head, const SecretField& secret) {
  method_ = head.method;
  out_ended_ = head.framing.kind == wire::BodyFraming::Kind::kNone;
  const std::string name = wire::lowered(secret.name);
  Result<std::int32_t> id = failure(Error::kClosed, "the connection has just ended");
  if (!link_->is_over_) id = link_->session_.request(head, "https", {name, secret.value});
  if (!id) {
    is_over_ = true;
    was_not_processed_ = id.error() == Error::kClosed;
    why_ = id.error().message();
    return Failure(id.error());
  }
  id_ = *id;
  link_->streams_[id_] = this;
  link_->wake_writer();
  return {};
}

// --- what comes

void Http2Upstream::took(Result<wire::ResponseHead> head, bool ended) {
  has_spoken_ = true;
  if (head && head->status < 200) return;
  had_head_ = true;
  if (!head) {
    head_.emplace(Failure(head.error()));
  } else if (const auto framing = framing_of(*head, method_, ended); framing) {
    head_.emplace(Head{std::move(*head), *framing});
  } else {
    head_.emplace(Failure(framing.error()));
  }
  came_.set();
}

void Http2Upstream::ended(wire::Http2Ending ending) {
  is_over_ = true;
  was_not_processed_ = ending.was_not_processed;
  if (!ending.why.empty()) why_ = std::move(ending.why);
  came_.set();
  went_.set();
}

Result<std::optional<UpstreamExchange::Head>> Http2Upstream::head() {
  if (head_) {
    Result<Head> head = std::move(*head_);
    head_.reset();
    if (!head) return Failure(head.error());
    return std::move(*head);
  }
  if (is_over_ && !had_head_) return failure(Error::kUpstream, why_);
  return std::nullopt;
}

Result<Piece> Http2Upstream::piece() {
  if (given_ > 0) {
    in_.erase(0, given_);
    if (!is_over_) {
      link_->session_.taken(id_, given_);
      link_->wake_writer();
    }
    given_ = 0;
  }
  given_ = in_.size();
  return Piece{in_, in_whole_};
}

Task<Result<bool>> Http2Upstream::more(Deadline deadline) {
  while (!is_at_hand() && !is_over_) {
    came_.reset();
    CO_TRY(co_await came_.wait(deadline));
  }
  co_return is_at_hand();
}

// --- what goes

Task<Result<void>> Http2Upstream::flush(Deadline deadline) {
  if (!is_over_) {
    link_->session_.resume(id_);
    link_->wake_writer();
  }
  while (!is_over_ && (waiting() > 0 || (out_ends_ && !out_ended_))) {
    went_.reset();
    CO_TRY(co_await went_.wait(deadline));
  }
  if (is_over_ && !out_ended_) {
    discard();
    // Who has answered whole may say that it wants no more (RFC 9113 section 8.1).
    if (!in_whole_) co_return failure(Error::kClosed, why_);
  }
  co_return Result<void>();
}

Task<Result<void>> Http2Upstream::finish(std::string_view rest, const wire::Headers& trailers,
                                         Deadline deadline) {
  if (out_ended_) co_return Result<void>();  // by its head
  add(rest);
  out_trailers_ = trailers;
  out_ends_ = true;
  co_return co_await flush(deadline);
}

// --- the connection

Http2Link::Http2Link(net::Loop& loop, std::unique_ptr<net::Stream> stream)
    : loop_(loop),
      stream_(std::move(stream)),
      inbox_(*stream_),
      session_(*this),
      quiet_since_(loop.now()),
      heard_at_(loop.now()),
      output_(loop),
      writer_(loop),
      reader_(loop) {
  writer_.spawn(write_all(this));
  reader_.spawn(read_all(this));
}

Http2Link::~Http2Link() {
  reader_.cancel_all();
  writer_.cancel_all();
  if (!is_over_ && !is_writing_) {
    session_.drain();
    if (gather()) (void)stream_->write_now(bytes_);
  }
  forget_written();
}

bool Http2Link::has_room() const {
  return !is_over_ && session_.takes_requests()
         && exchanges_ < std::min(session_.streams_most(), wire::kHttp2StreamsMost);
}

std::unique_ptr<UpstreamExchange> Http2Link::begin(std::shared_ptr<Http2Link> link) {
  return std::make_unique<Http2Upstream>(std::move(link));
}

Http2Upstream* Http2Link::find(std::int32_t id) const {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second;
}

void Http2Link::enter() {
  if (exchanges_++ == 0) quiet_since_ = loop_.now();
  has_carried_ = true;
  pings_left_ = kPingsMost;
}

void Http2Link::leave(std::int32_t id) {
  streams_.erase(id);
  --exchanges_;
  quiet_since_ = loop_.now();
}

// Of an exchange, not of the connection alone: those a server may answer without end.
void Http2Link::heard() { pings_left_ = kPingsMost; }

void Http2Link::on_answer(std::int32_t id, Result<wire::ResponseHead> head, bool ended) {
  heard();
  if (Http2Upstream* exchange = find(id)) exchange->took(std::move(head), ended);
}
void Http2Link::on_body(std::int32_t id, std::string_view payload) {
  heard();
  Http2Upstream* exchange = find(id);
  if (exchange == nullptr) return;
  exchange->in_ += payload;
  exchange->came_.set();
}
void Http2Link::on_end(std::int32_t id, wire::Headers trailers) {
  Http2Upstream* exchange = find(id);
  if (exchange == nullptr) return;
  exchange->in_whole_ = true;
  exchange->in_trailers_ = std::move(trailers);
  exchange->came_.set();
}
void Http2Link::on_close(std::int32_t id, wire::Http2Ending ending) {
  if (Http2Upstream* exchange = find(id)) exchange->ended(std::move(ending));
}
wire::Http2ClientHandler::Pulled Http2Link::on_pull(std::int32_t id, char* into, std::size_t room,
                                                    wire::Headers& trailers) {
  Http2Upstream* exchange = find(id);
  if (exchange == nullptr) return {Pulled::What::kGone, 0};
  const std::size_t count = std::min(room, exchange->waiting());
  std::memcpy(into, exchange->out_.data() + exchange->out_at_, count);
  exchange->out_at_ += count;
  const bool all = exchange->waiting() == 0;
  if (all) {
    exchange->discard();
    exchange->went_.set();
  }
  if (all && exchange->out_ends_) {
    exchange->out_ended_ = true;
    trailers = std::move(exchange->out_trailers_);
    return {Pulled::What::kEnd, count};
  }
  return {count == 0 ? Pulled::What::kNothingYet : Pulled::What::kBytes, count};
}

Task<void> Http2Link::read_all(Http2Link* self) {
  self->wake_writer();
  std::string why = "the connection ended before the answer did";
  while (true) {
    const Result<bool> more = co_await self->inbox_.fill(self->next_look());
    if (!more && more.error() == Error::kTimeout) {
      if (self->may_wait_on()) continue;
      if (!self->is_idle()) why = "it gives no sign of life any more";
      break;
    }
    if (!more || !*more) break;
    self->heard_at_ = self->loop_.now();
    self->is_asked_ = false;
    const std::string_view waiting = self->inbox_.waiting();
    const Result<void> fed = self->session_.feed(waiting, self->loop_.now());
    self->inbox_.take(waiting.size());
    self->wake_writer();
    if (!fed) why = fed.error().message();
    if (!fed || self->session_.is_over()) break;
  }
  self->session_.drain();
  self->wake_writer();
  self->end(std::move(why));
}

// When to look whether to go on, though nothing came.
Deadline Http2Link::next_look() const {
  if (is_idle()) return Deadline(quiet_since_ + kIdleFor);
  return Deadline(std::max(heard_at_, quiet_since_) + (is_asked_ ? kPongMost : kSilenceMost));
}

bool Http2Link::may_wait_on() {
  const Instant now = loop_.now();
  if (now < next_look().at()) return true;  // an exchange came, or went, meanwhile
  if (is_idle() || is_asked_) return false;
  heard_at_ = now;  // from when on an answer is waited for
  if (pings_left_ == 0) return true;
  --pings_left_;
  is_asked_ = true;
  session_.ping();
  wake_writer();
  return true;
}

// As much as one write takes; whether there is anything. Its room is made first: what grows leaves
// copies behind.
bool Http2Link::gather() {
  bytes_.reserve(kWrittenAtOnce + kFrameMost);
  while (bytes_.size() < kWrittenAtOnce) {
    const wire::Http2Client::Output put = session_.append_output(bytes_);
    if (!put.is_any) break;
    holds_secret_ |= put.may_be_secret;
  }
  return !bytes_.empty();
}

void Http2Link::forget_written() {
  if (std::exchange(holds_secret_, false)) wipe({bytes_.data(), bytes_.size()});
  bytes_.clear();
}

Task<void> Http2Link::write_all(Http2Link* self) {
  while (true) {
    (void)co_await self->output_.wait(Deadline::never());
    self->output_.reset();
    while (self->gather()) {
      self->is_writing_ = true;
      const Result<void> written =
          co_await self->stream_->write(self->bytes_, self->loop_.in(kWriteMost));
      self->forget_written();
      if (!written) {
        self->reader_.cancel_all();
        self->end("the connection takes nothing any more");
        break;
      }
      self->is_writing_ = false;
    }
    if (self->is_over_) {  // who reads has ended before
      self->stream_.reset();
      co_return;
    }
    self->bytes_ = std::string();
  }
}

void Http2Link::end(std::string why) {
  is_over_ = true;
  for (auto& [id, exchange] : streams_) {
    if (exchange->is_over_) continue;
    exchange->ended({0, !session_.was_sent(id), why});
  }
}

}  // namespace gatehouse::gateway
