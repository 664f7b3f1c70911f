// SPDX-License-Identifier: Apache-2.0
// RELAY and SETTLE: the request to the upstream (asking.h), its answer back, byte for byte, watched
// on the way: the kill table between any two pieces, the credential's echo, and what the answer
// says of itself (usage, text, tool calls).
//
// An answer may stream for hours. What is done but once has a coroutine of its own, which is not
// inlined: its frame would be a part of the caller's, for all that time.
#include <fmt/format.h>

#include "base/log.h"
#include "gateway/asking.h"
#include "gateway/model_list.h"
#include "gateway/responses_socket.h"
#include "gateway/translated_answer.h"
#include "gateway/websocket.h"
#include "wire/content_coding.h"

namespace gatehouse::gateway {
namespace {

using net::Task;
using Kind = wire::BodyFraming::Kind;

constexpr Nanos kLastWordsMost = 2s;
constexpr Nanos kDrainMost = std::chrono::minutes(10);  // of an answer that nobody waits for
constexpr std::string_view kRemoved = "[credential removed by gatehouse]";

class Relay {
 public:
  explicit Relay(Leased leased) : of_(std::move(leased)) {}
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  // A kill ends the task that this is of: there is no turn to wait in.
  ~Relay() {
    const Exchange& exchange = *of_.leased;
    if (exchange.model_route != nullptr) {
      intent().tag("route.answered_by", name_of(exchange, exchange.aim));
      intent().tag("route.attempts", exchange.attempted);
    }
    if (!gate().is_killed(exchange.door->run.run)) return;
    const std::string words = last_words({Error::kKilled, "the run was killed"});
    if (!words.empty()) caller().say_last_now(words);
  }

  Task<Result<void>> run() {
    Result<void> done = co_await begin();
    if (done && !is_over_) done = co_await relay_pieces();
    co_return co_await end(std::move(done));
  }

 private:
  [[nodiscard]] Gate& gate() const { return of_.gate(); }
  [[nodiscard]] Caller& caller() const { return of_.caller(); }
  [[nodiscard]] Intent& intent() const { return of_.intent(); }
  [[nodiscard]] UpstreamExchange& upstream() const { return *of_.upstream; }

  // The lease ends, and the Intent is settled, before the connection carries anything else.
  [[gnu::noinline]] Task<Result<void>> end(Result<void> done) {
    if (!is_over_) {
      if (done) done = co_await (held_head_ ? give_held() : end_answer());
      if (done) upstream().release();
      if (!done) co_await say_last_words(done.error());
    }
    if (done) {
      intent().outcome.state = "done";
    } else {
      const bool is_cut = done.error() == Error::kKilled || agent_left_;
      intent().fail(done.error(), is_cut ? "cut" : "failed");
    }
    co_return done;
  }

  // --- until the answer's body

  // All of it where the answer leads to a WebSocket.
  [[gnu::noinline]] Task<Result<void>> begin() {
    Exchange& exchange = *of_.leased;
    if (auto alias = answer_as_alias(exchange)) {
      is_over_ = true;
      co_return co_await answer_here(*std::move(alias));
    }
    const Instant dialled = gate().loop.now();
    UpstreamExchange::Head head = CO_TRY(co_await asked(of_));
    exchange.timing.upstream = gate().loop.now() - dialled;
    intent().tag("status", std::to_string(head.response.status));
    CO_TRY(prepare_redaction(head.response));
    if (head.response.status == 101) {
      is_over_ = true;
      co_return co_await relay_websocket(std::move(head.response));
    }
    CO_TRY(prepare_decoding(head.response, head.body));
    exchange.drop_request();
    prepare_translation(head.response);
    of_.reading.begin(head.response);
    if (!may_release_before_durable()) {
      CO_TRY(co_await intent().recorder().wait_durable(intent().position(),
                                                       gate().loop.in(kDurableMost)));
    }
    CO_TRY(of_.still_alive());
    co_return begin_answer(std::move(head));
  }
  // What is known here: no upstream is asked.
  [[gnu::noinline]] Task<Result<void>> answer_here(std::string body) {
    CO_TRY(of_.still_alive());
    wire::ResponseHead head;
    head.reason = "OK";
    head.headers.set("content-type", "application/json");
    name_run(head.headers);
    tell_timing(head.headers);
    intent().tag("status", std::to_string(head.status));
    intent().tag("answered_by", "gateway");
    of_.reading.begin(head);
    CO_TRY(caller().begin(std::move(head), {Kind::kLength, body.size()}));
    const wire::Headers no_trailers;
    co_return co_await to_caller(caller().answer().finish(of_.reading.take(body), no_trailers,
                                                          gate().loop.in(kPeerTakesMost)));
  }
  // What may come back in any answer from that upstream, also to a request without a credential.
  Result<void> prepare_redaction(wire::ResponseHead& head) {
    std::vector<Secret>& known = of_.leased.lent().known;
    if (known.empty()) return {};
    forms_ =
        TRY(of_.leased->door->known.forms_of(of_.leased->aim.destination.host, std::move(known)));
    redactor_.emplace(forms_, kRemoved);
    bool is_clean = !forms_->are_in(head.reason);
    for (const wire::Header header : head.headers) {
      is_clean = is_clean && !forms_->are_in(header.name) && !forms_->are_in(header.value);
    }
    if (is_clean) return {};
    head.headers = TRY(redacted(head.headers));
    head.reason = redacted(head.reason);
    return {};
  }
  // An answer that is looked into was asked for uncompressed. One that came in a coding all the
  // same goes on without it; what need not be looked into keeps its bytes.
  Result<void> prepare_decoding(wire::ResponseHead& head, wire::BodyFraming body) {
    const bool has_body =
        body.kind == Kind::kChunked || body.length > 0 || body.kind == Kind::kUntilClose;
    if (!has_body) return {};
    const bool is_read =
        !std::holds_alternative<HttpCall>(of_.leased->call) || !listed_aliases(*of_.leased).empty();
    if (!redactor_ && !is_read) return {};
    const auto coding = wire::content_coding_of(head.headers);
    if (!coding) {
      if (!redactor_) return {};  // it is relayed; what it says of itself stays unknown
      return failure(Error::kUpstream,
                     "the upstream compressed an answer that must be looked through in a way that "
                     "is not understood, though it was asked not to");
    }
    if (*coding == wire::ContentCoding::kIdentity) return {};
    head.headers.remove("content-encoding");
    decoder_ = std::make_unique<wire::ContentDecoder>(
        *coding, wire::DecodingLimits{.size_most = UINT64_MAX});
    return {};
  }
  // An answer in another dialect goes back in the agent's.
  void prepare_translation(wire::ResponseHead& head) {
    if (!of_.leased->aim.translated) return;
    translation_ =
        std::make_unique<TranslatedAnswer>(*of_.leased, head, gate().loop.wall().unix_seconds());
    of_.reading.read_instead(translation_->answer());
  }
  // Plain LLM calls may be sent before their Intent is durable, but no byte of the answer goes to
  // the agent before. For all else that needs it, RECORD has waited already.
  [[nodiscard]] bool may_release_before_durable() const {
    return !std::holds_alternative<LlmCall>(of_.leased->call);
  }
  // Puts the head; it is held back where nothing goes to the agent before all of the answer has
  // come.
  Result<void> begin_answer(UpstreamExchange::Head head) {
    wire::BodyFraming body = head.body;
    // Redaction, or usage that is hidden, may change the length, so that it cannot be promised.
    const bool known = body.kind == Kind::kLength && !redactor_ && !decoder_
                       && !of_.reading.hides_usage() && !translation_;
    if (body.kind != Kind::kNone && !known) body = {Kind::kChunked, 0};
    wire::Headers& headers = head.response.headers;
    wire::remove_hop_by_hop(headers);
    if (body.kind != Kind::kNone) headers.remove("content-length");
    name_run(headers);
    if (headers.find("content-type").value_or("").starts_with("text/event-stream")) {
      stream_.emplace(gate().counters.live_streams);
    }
    tell_timing(headers);
    if (of_.reading.holds_back() || (translation_ && !translation_->is_stream())) {
      held_head_ = std::make_unique<wire::ResponseHead>(std::move(head.response));
      return {};
    }
    return caller().begin(std::move(head.response), body);
  }
  void name_run(wire::Headers& headers) const {
    headers.set("x-gatehouse-run", of_.leased->door->run_text);
    headers.set("x-gatehouse-trace", of_.leased->door->trace_text);
  }
  // Where the time went, for the agent's developer and for the metrics. What the upstream says of
  // its own time stands beside it.
  void tell_timing(wire::Headers& headers) {
    const Timing& timing = of_.leased->timing;
    const Nanos whole = gate().loop.now() - of_.leased->began;
    headers.add("server-timing", server_timing(timing, whole));
    gate().counters.own_time.observe(own_part(timing, whole));
    gate().counters.upstream_time.observe(timing.upstream);
  }

  // From here on it is frames that pass.
  [[gnu::noinline]] Task<Result<void>> relay_websocket(wire::ResponseHead head) {
    of_.watch.cancel_all();
    CO_TRY(of_.still_alive());
    wire::set_websocket_upgrade(head.headers);
    name_run(head.headers);
    tell_timing(head.headers);
    const Live stream(gate().counters.live_streams);
    const RawConnection agent =
        CO_TRY(co_await caller().switch_protocols(std::move(head), gate().loop.in(kPeerTakesMost)));
    const std::unique_ptr<WebSocketJudge> judge = judge_of(*of_.leased);
    PlaceholderSearch placeholders(of_.leased);
    WebSocket socket({
        .loop = gate().loop,
        .intent = intent(),
        .agent = agent,
        .upstream = upstream().switched(),
        .forms = forms_,
        .replacement = kRemoved,
        .idle_most = std::chrono::seconds(of_.timeouts().idle_s),
        .until = of_.ends,
        .still_alive = [this] { return of_.still_alive(); },
        .look_for_placeholders =
            [&placeholders](std::string_view part) { return placeholders.look_through(part); },
        .is_killed = [this] { return gate().is_killed(of_.leased->door->run.run); },
        .ended_in_order = [this] { caller().ended_in_order(); },
        .room = gate().bodies,
        .room_of_run = of_.leased->door->bodies,
        .reader = judge.get(),
    });
    const Result<void> done = co_await socket.run();
    agent_left_ = socket.agent_left();
    if (agent_left_) ++gate().counters.client_left;
    co_return done;
  }

  // --- the answer's body

  Task<Result<void>> relay_pieces() {
    MessageIn& from = upstream().answer();
    MessageOut& to = caller().answer();
    while (!from.is_done()) {
      const Result<Piece> piece = from.piece();
      if (!piece) co_return failure(Error::kUpstream, piece.error().message());
      if (piece->is_nothing()) {
        // What is at hand goes out before we wait for more.
        if (to.waiting() > 0) CO_TRY(co_await to_caller(to.flush(gate().loop.in(kPeerTakesMost))));
        of_.reading.catch_up();
        const std::uint32_t most_s = of_.timeouts().idle_s;
        const auto more = co_await of_.more_from_upstream(of_.within(std::chrono::seconds(most_s)));
        if (!more) co_return of_.late(more.error(), "sent nothing more", most_s);
        if (!*more) {
          CO_TRY(from.closed());
          break;
        }
        CO_TRY(of_.still_alive());
        continue;
      }
      note_first_chunk();
      CO_TRY(pass_down(piece->payload));
      if (to.waiting() >= kAtHandMost) {
        CO_TRY(co_await to_caller(to.flush(gate().loop.in(kPeerTakesMost))));
      }
    }
    co_return pass_rest();
  }
  void note_first_chunk() {
    if (std::exchange(first_chunk_came_, true)) return;
    if (!std::holds_alternative<LlmCall>(of_.leased->call)) return;
    gate().counters.llm_first_chunk_time.observe(gate().loop.now() - of_.leased->began);
  }
  // A piece of the answer as it came.
  Result<void> pass_down(std::string_view payload) {
    if (!decoder_ && !redactor_) return give(payload);
    Buffers::Lent decoded;
    if (decoder_) {
      TRY(as_upstreams(decoder_->feed(payload, decoded.text)));
      payload = decoded.text;
    }
    if (!redactor_) return give(payload);
    Buffers::Lent clean;
    redactor_->feed(payload, clean.text);
    return give(clean.text);
  }
  Result<void> pass_rest() {
    if (decoder_) TRY(as_upstreams(decoder_->finish()));
    if (redactor_) {
      std::string clean;
      redactor_->finish(clean);
      TRY(give(clean));
      const std::size_t hits = redactor_->hits();
      if (hits > 0) intent().tag("credential_echoes", std::to_string(hits));
    }
    return {};
  }
  // A piece of the answer, as the agent may see it: on to the agent, in its dialect.
  Result<void> give(std::string_view payload) {
    if (!translation_) {
      caller().answer().add(of_.reading.take(payload));
      return {};
    }
    const std::string text = TRY(translation_->feed(payload));
    if (!text.empty()) caller().answer().add(of_.reading.take(text));
    return {};
  }
  [[gnu::noinline]] Task<Result<void>> end_answer() {
    if (translation_) {
      const std::string rest = CO_TRY(translation_->finish());
      caller().answer().add(of_.reading.take(rest));
    }
    const wire::Headers trailers = CO_TRY(finished_trailers());
    CO_TRY(co_await to_caller(
        caller().answer().finish(of_.reading.finish(), trailers, gate().loop.in(kPeerTakesMost))));
    if (drained_until_) {
      co_return failure(Error::kClosed, "the agent left; the answer was taken to its end");
    }
    co_return Result<void>();
  }
  // An answer that is edited or carried over as a whole: the agent is told nothing before all of it
  // has come, so that one with which that cannot be done is refused in order.
  [[gnu::noinline]] Task<Result<void>> give_held() {
    wire::ResponseHead head = std::move(*held_head_);
    std::string body;
    std::string_view seen;
    if (of_.reading.holds_back()) {
      seen = body = CO_TRY(of_.reading.edited());
      for (const char* name : {"etag", "last-modified", "accept-ranges", "content-md5", "digest",
                               "content-digest", "repr-digest"}) {
        head.headers.remove(name);  // they are of what the upstream sent
      }
    } else {
      body = CO_TRY(translation_->finish());
      seen = of_.reading.take(body);
    }
    CO_TRY(caller().begin(std::move(head), {Kind::kLength, body.size()}));
    const wire::Headers no_trailers;
    co_return co_await to_caller(
        caller().answer().finish(seen, no_trailers, gate().loop.in(kPeerTakesMost)));
  }
  // What is wrong with an answer's coding is its sender's fault.
  static Result<void> as_upstreams(const Result<void>& decoded) {
    if (decoded) return {};
    return failure(Error::kUpstream, "the upstream's answer: " + decoded.error().message());
  }
  Result<wire::Headers> finished_trailers() {
    wire::Headers trailers = upstream().answer().trailers();
    wire::remove_hop_by_hop(trailers);
    return trailers.empty() || !redactor_ ? trailers : redacted(trailers);
  }
  Result<wire::Headers> redacted(const wire::Headers& headers) {
    wire::Headers clean;
    for (const wire::Header header : headers) {
      if (redacted(header.name) != header.name) continue;  // a name that is the credential
      clean.add(TRY(wire::HeaderName::parse(header.name)), redacted(header.value));
    }
    return clean;
  }
  std::string redacted(std::string_view text) {
    std::string clean;
    redactor_->feed(text, clean);
    redactor_->finish(clean);
    return clean;
  }
  [[gnu::noinline]] Task<Result<void>> to_caller(Task<Result<void>> sending) {
    if (drained_until_) {
      caller().answer().discard();
      if (gate().loop.now() < *drained_until_) co_return Result<void>();
      co_return failure(Error::kClosed, "the agent left, and the answer has not ended since");
    }
    const Result<void> written = co_await std::move(sending);
    if (written) co_return Result<void>();
    agent_left_ = true;
    if (!of_.is_drained()) co_return Failure(written.error().in("the agent"));
    drained_until_ = gate().loop.now() + kDrainMost;
    co_return Result<void>();
  }
  // The event that tells why a model's stream ends here, behind what is still to be sent of it; ""
  // where that cannot be told. What would end the stream in order is never sent.
  std::string last_words(const Error& error) {
    return caller().takes_last_words() ? of_.reading.error_event(error) : "";
  }
  [[gnu::noinline]] Task<void> say_last_words(Error error) {
    const std::string words = last_words(error);
    if (!words.empty()) co_await caller().say_last(words, gate().loop.in(kLastWordsMost));
  }

  // Before `of_`, whose reading refers to it until it has told what it read.
  std::unique_ptr<TranslatedAnswer> translation_;  // of an answer in another dialect
  Relaying of_;
  std::shared_ptr<const wire::RedactionForms> forms_;
  std::optional<wire::Redactor> redactor_;
  std::unique_ptr<wire::ContentDecoder> decoder_;
  std::unique_ptr<wire::ResponseHead> held_head_;
  std::optional<Live> stream_;            // of one that is a stream of events
  std::optional<Instant> drained_until_;  // what comes after the agent left
  bool is_over_ = false;
  bool agent_left_ = false;
  bool first_chunk_came_ = false;
};

}  // namespace

Task<Result<void>> relay(Leased leased) {
  Relay relay(std::move(leased));
  co_return co_await relay.run();
}

}  // namespace gatehouse::gateway
