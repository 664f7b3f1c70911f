// SPDX-License-Identifier: Apache-2.0
// RELAY and SETTLE: the request to the upstream, its answer back, byte for byte, watched on the
// way: the kill table between any two pieces, the credential's echo, and what the answer says of
// itself (usage, text, tool calls).
#include <fmt/format.h>

#include "base/encoding.h"
#include "base/log.h"
#include "gateway/exchange.h"
#include "gateway/reading.h"
#include "wire/trace.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr Nanos kWriteMost = std::chrono::seconds(30);
constexpr Nanos kFirstByteMost = std::chrono::minutes(10);  // a model may think that long
constexpr Nanos kIdleMost = std::chrono::minutes(5);        // between two pieces of an answer
constexpr Nanos kPatience = 20ms;  // an answer that takes longer is worth a watch on the client
constexpr std::size_t kKeptMost = 64 * 1024;  // of a body, to send it again
constexpr Nanos kDurableMost = 250ms;
constexpr Nanos kLastWordsMost = 2s;
constexpr Nanos kDrainMost = std::chrono::minutes(10);  // of an answer that nobody waits for
constexpr std::string_view kRemoved = "[credential removed by gatehouse]";
constexpr wire::BodyFraming::Kind kNoBody = wire::BodyFraming::Kind::kNone;

// Ends the Lease on every path.
class LeaseGuard {
 public:
  LeaseGuard(Gate& gate, LeaseId lease) : gate_(gate), lease_(lease) {}
  LeaseGuard(const LeaseGuard&) = delete;
  LeaseGuard& operator=(const LeaseGuard&) = delete;
  ~LeaseGuard() { end(); }
  void replace(LeaseId lease) {
    end();
    lease_ = lease;
  }

 private:
  void end() {
    if (lease_ != ipc::no_lease()) gate_.end_lease_soon(lease_);
  }
  Gate& gate_;
  LeaseId lease_;
};

// Ends the connection of a client that leaves while its answer is awaited, so that the upstream is
// cancelled at once.
Task<void> watch_client(Gate* gate, Door* door, Client* client) {
  const Result<void> readable = co_await client->stream->wait_readable(Deadline::never());
  if (readable && client->stream->is_quiet()) co_return;
  std::array<char, 1> probe;
  // Bytes: the client pipelines and is there. An end: it has gone.
  if (client->stream->peek_now(probe) == 0) gate->cancel_soon(*door, client->connection);
}

class Relay {
 public:
  explicit Relay(Leased leased)
      : leased_(std::move(leased)),
        ruled_(leased_.recorded.ruled),
        intent_(leased_.recorded.intent),
        gate_(*ruled_->gate),
        client_(*ruled_->client),
        guard_(gate_, leased_.lease),
        reading_(intent_, *ruled_),
        watch_(gate_.loop) {}
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  // A kill ends the task that this is of: there is no turn to wait in.
  ~Relay() {
    if (!gate_.is_killed(ruled_->door->run.run)) return;
    const std::string words = last_words({Error::kKilled, "the run was killed"});
    if (words.empty()) return;
    client_.last_words_said = client_.stream->write_now(words) == words.size();
  }

  Task<Result<void>> run() {
    const Result<void> done = co_await exchange();
    // The lease ends, and the Intent is settled, before the connection carries anything else.
    if (done) {
      intent_.outcome.state = "done";
    } else if (intent_.outcome.state != "refused") {  // an alarm has said so
      const bool is_cut = done.error() == Error::kKilled || agent_left_;
      intent_.outcome.state = is_cut ? "cut" : "failed";
    }
    if (!done) intent_.outcome.reason = done.error().message();
    co_return done;
  }

 private:
  Task<Result<void>> exchange() {
    ask_for_usage();
    CO_TRY(co_await dial());
    wire::ResponseHead head = CO_TRY(co_await answered());
    if (head.status == 401 && CO_TRY(co_await sent_again())) head = CO_TRY(co_await read_head());
    const wire::BodyFraming framing =
        CO_TRY(wire::response_framing(head, ruled_->request.head.method));
    intent_.tag("status", std::to_string(head.status));
    CO_TRY(prepare_redaction(head));
    const bool keep = !wire::ends_connection(head.version, head.headers)
                      && framing.kind != wire::BodyFraming::Kind::kUntilClose;
    reading_.begin(head);
    if (!may_release_before_durable()) {
      CO_TRY(co_await intent_.recorder().wait_durable(intent_.position(),
                                                      gate_.loop.in(kDurableMost)));
    }
    CO_TRY(still_alive());
    const Result<void> relayed = co_await relay_body(std::move(head), framing);
    if (!relayed) {
      co_await say_last_words(relayed.error());
      co_return relayed;
    }
    if (keep && upstream_inbox_->waiting().empty()) gate_.upstreams.release(std::move(upstream_));
    co_return Result<void>();
  }

  // --- to the upstream

  // OpenAI's chat streams say what they cost only when they are asked to. What was recorded is what
  // the agent sent.
  void ask_for_usage() {
    const auto* llm = std::get_if<LlmCall>(&ruled_->call);
    if (llm == nullptr || !llm->request.usage_edit || !ruled_->service->asks_usage) return;
    leased_.recorded.ruled->body = wire::edited(*ruled_->body, *llm->request.usage_edit);
    reading_.hide_usage();
  }

  Task<Result<void>> dial() {
    auto dialled = co_await gate_.upstreams.acquire(ruled_->destination, gate_.loop.in(kWriteMost));
    if (!dialled) {
      if (dialled.error() == Error::kDenied) client_.refused_by = "private-address";
      co_return Failure(dialled.error());
    }
    upstream_ = std::move(*dialled);
    co_return still_alive();
  }
  // The answer's head. A connection that was kept may have been closed by the upstream just when it
  // was used again: a safe request then goes once more, on a new one (RFC 9110 section 9.2.2).
  Task<Result<wire::ResponseHead>> answered() {
    const bool again =
        upstream_.reused && ruled_->request.head.framing.kind == kNoBody
        && (ruled_->request.head.method == "GET" || ruled_->request.head.method == "HEAD");
    const Result<void> sent = co_await send_request();
    if (!sent && !again) co_return Failure(sent.error());
    if (sent) {
      Result<wire::ResponseHead> head = co_await read_head();
      if (head || !again || upstream_spoke_) co_return head;
    }
    upstream_inbox_.reset();
    upstream_ = CO_TRY(
        co_await gate_.upstreams.acquire_new(ruled_->destination, gate_.loop.in(kWriteMost)));
    CO_TRY(still_alive());
    CO_TRY(co_await send_request());
    co_return co_await read_head();
  }

  Result<std::string> request_text() {
    wire::RequestHead head = ruled_->request.head;
    wire::remove_hop_by_hop(head.headers);
    for (const char* name : {"expect", "traceparent", "tracestate", "proxy-authorization"}) {
      head.headers.remove(name);
    }
    head.target = ruled_->target;
    head.form = wire::TargetForm::kOrigin;
    head.version = wire::HttpVersion::k11;
    head.headers.set("host", host_field());
    head.headers.set("traceparent",
                     wire::TraceParent{ruled_->door->run.trace, ruled_->span, true}.text());
    const bool inspected = !std::holds_alternative<HttpCall>(ruled_->call) || is_looked_through();
    if (inspected) head.headers.set("accept-encoding", "identity");
    if (is_looked_through()) {
      // Of an answer that may echo the credential, no pieces that would hide it when seen alone.
      head.headers.remove("range");
      head.headers.remove("if-range");
    }
    head.headers.remove("content-length");
    if (ruled_->body) {
      head.headers.set("content-length", std::to_string(ruled_->body->size()));
    } else if (head.framing.kind == wire::BodyFraming::Kind::kLength) {
      head.headers.set("content-length", std::to_string(head.framing.length));
    } else if (head.framing.kind == wire::BodyFraming::Kind::kChunked) {
      head.headers.set("transfer-encoding", "chunked");
    }
    std::string credential;
    if (!leased_.header.empty()) {
      const auto original = head.headers.find(leased_.header);
      if (original && !leased_.value.empty()) credential = *original;
      head.headers.remove(ruled_->service->credential_header);  // the agent's own never passes
      if (takes_bearer_too(*ruled_->service)) head.headers.remove("authorization");
    }
    std::string text;
    text.reserve(4096 + leased_.value.size());
    TRY(wire::append_request_head(text, head));
    if (!credential.empty()) TRY(append_credential(text, credential));
    return text;
  }
  // The one place where a credential's value meets a request. `text` has room: no copy of it is
  // left behind.
  Result<void> append_credential(std::string& text, std::string& template_value) {
    const std::string_view value = leased_.value.open(Purpose::kInject);
    if (!wire::all_are(wire::kValueChar, value)) {
      return failure(Error::kLeaseRefused,
                     "the stored credential holds characters that no header may");
    }
    text.reserve(text.size() + template_value.size() + 2 * value.size() + 256);
    text.resize(text.size() - 2);  // before the empty line
    text += leased_.header;
    text += ": ";
    const std::size_t at = template_value.find(leased_.placeholder);
    if (template_value == leased_.placeholder) {
      text += ruled_->service->credential_prefix;
      text += value;
    } else if (at != std::string::npos) {
      text += std::string_view(template_value).substr(0, at);
      text += value;
      text += std::string_view(template_value).substr(at + leased_.placeholder.size());
    } else {
      // Inside a Basic credential (RFC 7617), as git and curl -u send it.
      std::string pair =
          TRY(from_base64(wire::trimmed(std::string_view(template_value).substr(6))));
      const std::size_t in_pair = pair.find(leased_.placeholder);
      if (in_pair == std::string::npos) {
        return failure(Error::kDenied,
                       "the placeholder is encoded in a way that is not understood");
      }
      std::string filled;
      filled.reserve(pair.size() + value.size());
      filled.append(pair, 0, in_pair).append(value);
      filled.append(pair, in_pair + leased_.placeholder.size());
      std::string encoded = to_base64(filled);
      text += "Basic ";
      text += encoded;
      wipe(filled);
      wipe(encoded);
    }
    text += "\r\n\r\n";
    return {};
  }
  [[nodiscard]] std::string host_field() const {
    const Destination& to = ruled_->destination;
    const std::string host = to.host.contains(':') ? "[" + to.host + "]" : to.host;
    const std::uint16_t usual = to.tls ? 443 : 80;
    return to.port == usual ? host : fmt::format("{}:{}", host, to.port);
  }

  Task<Result<void>> send_request() {
    std::string text = CO_TRY(request_text());
    if (ruled_->body && ruled_->body->size() <= 16 * 1024) text += *ruled_->body;
    const Result<void> sent = co_await upstream_.stream->write(text, gate_.loop.in(kWriteMost));
    gatehouse::wipe({text.data(), text.size()});
    if (!sent) co_return Failure(sent.error().in("sending to " + ruled_->destination.host));
    if (ruled_->body) {
      if (ruled_->body->size() > 16 * 1024) {
        CO_TRY(co_await upstream_.stream->write(*ruled_->body, gate_.loop.in(kWriteMost)));
      }
      co_return Result<void>();
    }
    co_return co_await stream_request_body();
  }
  // A token that was revoked before its time: the request, if it is all still here, goes once more
  // with a renewed one. A request that was answered 401 has had no effect (RFC 9110 section
  // 15.5.2). Without a renewal the upstream's answer stands.
  Task<Result<bool>> sent_again() {
    if (!leased_.renewable || (!ruled_->body && !kept_body_)) co_return false;
    if (const Result<void> renewed = co_await renew(leased_); !renewed) co_return false;
    guard_.replace(leased_.lease);
    intent_.tag("renewed", "after 401");
    upstream_inbox_.reset();
    CO_TRY(co_await dial());
    CO_TRY(co_await send_request());
    co_return true;
  }
  // A body that need not be understood goes through in pieces; memory does not grow with it.
  Task<Result<void>> stream_request_body() {
    const wire::BodyFraming framing = ruled_->request.head.framing;
    const bool chunked = framing.kind == wire::BodyFraming::Kind::kChunked;
    if (framing.kind == wire::BodyFraming::Kind::kNone) {
      if (leased_.renewable) kept_body_.emplace();
      co_return Result<void>();
    }
    if (kept_body_) {  // once more
      std::string out;
      append_piece(out, *kept_body_, chunked);
      if (chunked) CO_TRY(wire::append_last_chunk(out));
      co_return co_await upstream_.stream->write(out, gate_.loop.in(kWriteMost));
    }
    if (leased_.renewable) kept_body_.emplace();
    wire::BodyReader& reader = leased_.recorded.ruled->begun->reader;
    std::string out;
    CO_TRY(look_for_placeholders(ruled_->begun->payload));
    append_piece(out, ruled_->begun->payload, chunked);
    reading_.sent(ruled_->begun->payload);
    keep(ruled_->begun->payload);
    if (!out.empty()) CO_TRY(co_await upstream_.stream->write(out, gate_.loop.in(kWriteMost)));
    while (!reader.done()) {
      if (client_.inbox.waiting().empty()
          && !CO_TRY(co_await client_.inbox.fill(gate_.loop.in(kWriteMost)))) {
        co_return failure(Error::kClosed, "the request's body broke off");
      }
      const wire::BodyPiece piece = CO_TRY(reader.feed(client_.inbox.waiting()));
      CO_TRY(look_for_placeholders(piece.payload));
      out.clear();
      append_piece(out, piece.payload, chunked);
      if (chunked && piece.done) CO_TRY(wire::append_last_chunk(out));
      reading_.sent(piece.payload);
      keep(piece.payload);
      CO_TRY(still_alive());
      CO_TRY(co_await upstream_.stream->write(out, gate_.loop.in(kWriteMost)));
      client_.inbox.take(piece.consumed);
    }
    client_.body_unread = false;
    co_return Result<void>();
  }
  // A placeholder in a body that is streamed: what has gone is not whole, and no more goes.
  Result<void> look_for_placeholders(std::string_view payload) {
    if (ruled_->door->placeholders.empty()) return {};
    body_tail_ += payload;
    std::size_t longest = 0;
    for (const ipc::Placeholder& placeholder : ruled_->door->placeholders) {
      longest = std::max(longest, placeholder.text.size());
      if (body_tail_.contains(placeholder.text)) return misuse(ruled_, intent_, placeholder);
    }
    if (body_tail_.size() >= longest) body_tail_.erase(0, body_tail_.size() - longest + 1);
    return {};
  }
  void keep(std::string_view payload) {
    if (!kept_body_) return;
    if (kept_body_->size() + payload.size() > kKeptMost) {
      kept_body_.reset();
    } else {
      *kept_body_ += payload;
    }
  }
  static void append_piece(std::string& out, std::string_view payload, bool chunked) {
    if (payload.empty()) return;
    if (chunked) wire::append_chunk_header(out, payload.size());
    out += payload;
    if (chunked) out += wire::kChunkEnd;
  }

  // --- from the upstream

  Task<Result<wire::ResponseHead>> read_head() {
    upstream_inbox_.emplace(*upstream_.stream);
    upstream_spoke_ = false;
    wire::ResponseParser parser;
    const Deadline deadline = gate_.loop.in(kFirstByteMost);
    while (true) {
      if (!CO_TRY(co_await fill_from_upstream(deadline))) {
        co_return failure(Error::kUpstream, ruled_->destination.host + " closed without an answer");
      }
      upstream_spoke_ = true;
      while (!upstream_inbox_->waiting().empty()) {
        const Result<wire::HeadProgress> progress = parser.feed(upstream_inbox_->waiting());
        if (!progress) {
          co_return failure(Error::kUpstream,
                            fmt::format("{} answered with broken HTTP: {}",
                                        ruled_->destination.host, progress.error().message()));
        }
        upstream_inbox_->take(progress->consumed);
        if (!progress->done) break;
        wire::ResponseHead head = parser.take();
        if (head.status >= 200) co_return head;
        if (head.status == 101) {
          co_return failure(Error::kUnsupported, "an upgrade of the protocol is not relayed");
        }
        parser = wire::ResponseParser();  // an interim answer: 100, 103
      }
    }
  }
  // Reads once. An upstream that lets us wait gets a watch on the client beside it.
  Task<Result<bool>> fill_from_upstream(Deadline deadline) {
    if (!watching_ && !is_drained()) {
      Result<bool> soon = co_await upstream_inbox_->fill(gate_.loop.in(kPatience));
      if (soon || soon.error().code() != Error::kTimeout) co_return soon;
      watching_ = true;
      watch_.spawn(watch_client(&gate_, ruled_->door, &client_));
    }
    co_return co_await upstream_inbox_->fill(deadline);
  }

  // Whether an answer whose agent has left is taken all the same: for what it says it used.
  [[nodiscard]] bool is_drained() const {
    return std::holds_alternative<LlmCall>(ruled_->call) && ruled_->service->drains;
  }

  // What may come back in any answer from that upstream, also to a request without a credential.
  [[nodiscard]] bool is_looked_through() const { return redactor_ || !leased_.known.empty(); }
  Result<void> prepare_redaction(wire::ResponseHead& head) {
    if (!is_looked_through()) return {};
    redactor_.emplace(TRY(forms()), kRemoved);
    for (const wire::Header header : head.headers) {
      if (wire::equal_ignoring_case(header.name, "content-encoding")
          && !wire::equal_ignoring_case(header.value, "identity")) {
        return failure(Error::kUpstream,
                       "the upstream compressed an answer that must be looked through, "
                       "though it was asked not to");
      }
    }
    wire::Headers clean;
    for (const wire::Header header : head.headers) {
      if (redacted(header.name) != header.name) continue;  // a name that is the credential
      clean.add(TRY(wire::HeaderName::parse(header.name)), redacted(header.value));
    }
    head.headers = std::move(clean);
    head.reason = redacted(head.reason);
    return {};
  }
  Result<std::shared_ptr<const wire::RedactionForms>> forms() {
    return ruled_->door->known.forms_of(ruled_->destination.host, std::move(leased_.known));
  }
  std::string redacted(std::string_view text) {
    std::string clean;
    redactor_->feed(text, clean);
    redactor_->finish(clean);
    return clean;
  }

  // Plain LLM calls may be sent before their Intent is durable, but no byte of the answer goes to
  // the agent before. For all else that needs it, RECORD has waited already.
  [[nodiscard]] bool may_release_before_durable() const {
    return !std::holds_alternative<LlmCall>(ruled_->call);
  }

  Result<void> still_alive() {
    const std::uint64_t generation = gate_.kills ? gate_.kills->generation() : 0;
    if (generation == seen_generation_) return {};
    seen_generation_ = generation;
    if (!gate_.is_killed(ruled_->door->run.run)) return {};
    intent_.outcome.state = "cut";
    return failure(Error::kKilled, "the run was killed");
  }

  Task<Result<void>> relay_body(wire::ResponseHead head, wire::BodyFraming framing) {
    using Kind = wire::BodyFraming::Kind;
    const bool client_is_10 = ruled_->request.head.version == wire::HttpVersion::k10;
    // Redaction, or usage that is hidden, may change the length, so that it cannot be promised.
    const bool known = framing.kind == Kind::kLength && !redactor_ && !reading_.hides_usage();
    const bool has_body = framing.kind != Kind::kNone;
    is_chunked_ = has_body && !known && !client_is_10;
    wire::remove_hop_by_hop(head.headers);
    if (has_body) {
      head.headers.remove("content-length");
      if (known) head.headers.set("content-length", std::to_string(framing.length));
      if (is_chunked_) head.headers.set("transfer-encoding", "chunked");
    }
    if (has_body && !known && client_is_10) head.headers.set("connection", "close");
    head.headers.set("x-gatehouse-run", ruled_->door->run.run.text());
    head.headers.set("x-gatehouse-trace", ruled_->door->run.trace.text());
    head.version = wire::HttpVersion::k11;
    CO_TRY(wire::append_response_head(out_, head));
    client_.mid_answer = true;
    wire::BodyReader reader(framing);
    std::string clean;
    while (!reader.done()) {
      if (upstream_inbox_->waiting().empty()) {
        // What is at hand goes out before we wait for more.
        if (!out_.empty()) CO_TRY(co_await to_client());
        if (!CO_TRY(co_await fill_from_upstream(gate_.loop.in(kIdleMost)))) {
          CO_TRY(reader.finish());
          break;
        }
        CO_TRY(still_alive());
      }
      const Result<wire::BodyPiece> piece = reader.feed(upstream_inbox_->waiting());
      if (!piece) co_return failure(Error::kUpstream, piece.error().message());
      std::string_view payload = piece->payload;
      if (redactor_) {
        clean.clear();
        redactor_->feed(payload, clean);
        payload = clean;
      }
      append_piece(out_, reading_.take(payload), is_chunked_);
      upstream_inbox_->take(piece->consumed);
      if (out_.size() >= 64 * 1024) CO_TRY(co_await to_client());
    }
    if (redactor_) {
      clean.clear();
      redactor_->finish(clean);
      append_piece(out_, reading_.take(clean), is_chunked_);
      if (redactor_->hits() > 0)
        intent_.tag("credential_echoes", std::to_string(redactor_->hits()));
    }
    append_piece(out_, reading_.finish(), is_chunked_);
    if (is_chunked_) CO_TRY(wire::append_last_chunk(out_));
    CO_TRY(co_await to_client());
    if (drained_until_) {
      co_return failure(Error::kClosed, "the agent left; the answer was taken to its end");
    }
    client_.mid_answer = false;
    if (has_body && !known && client_is_10)
      (void)co_await client_.stream->finish(gate_.loop.in(kWriteMost));
    co_return Result<void>();
  }
  Task<Result<void>> to_client() {
    if (drained_until_) {
      out_.clear();
      if (gate_.loop.now() < *drained_until_) co_return Result<void>();
      co_return failure(Error::kClosed, "the agent left, and the answer has not ended since");
    }
    is_writing_ = true;
    const Result<void> written = co_await client_.stream->write(out_, gate_.loop.in(kWriteMost));
    out_.clear();
    if (written) {
      is_writing_ = false;
      co_return Result<void>();
    }
    agent_left_ = true;
    if (!is_drained()) co_return Failure(written.error().in("the agent"));
    drained_until_ = gate_.loop.now() + kDrainMost;
    co_return Result<void>();
  }
  // What is still to be sent of a model's stream that ends here, and the event that tells why; ""
  // where that cannot be told. The chunk that would end the stream in order is never sent.
  std::string last_words(const Error& error) {
    if (!client_.mid_answer || !is_chunked_ || is_writing_ || client_.last_words_said) return "";
    const std::string event = reading_.error_event(error);
    if (event.empty()) return "";
    std::string words = std::move(out_);
    append_piece(words, event, is_chunked_);
    return words;
  }
  Task<void> say_last_words(Error error) {
    const std::string words = last_words(error);
    if (words.empty()) co_return;
    is_writing_ = true;
    client_.last_words_said =
        (co_await client_.stream->write(words, gate_.loop.in(kLastWordsMost))).has_value();
  }
  static void wipe(std::string& text) { gatehouse::wipe({text.data(), text.size()}); }

  Leased leased_;
  const Ruled& ruled_;
  Intent& intent_;
  Gate& gate_;
  Client& client_;
  LeaseGuard guard_;
  Reading reading_;
  Upstreams::Connection upstream_;
  std::optional<Inbox> upstream_inbox_;
  std::optional<wire::Redactor> redactor_;
  std::optional<std::string> kept_body_;  // all that was streamed, while it is small
  std::string body_tail_;    // of what was streamed: a placeholder may lie across two pieces
  std::string out_;          // to the agent, not sent yet
  bool is_chunked_ = false;  // the answer, towards the agent
  bool agent_left_ = false;
  std::optional<Instant> drained_until_;  // what comes after it left
  bool is_writing_ = false;               // to the agent; what was begun may be sent in part
  bool upstream_spoke_ = false;
  std::uint64_t seen_generation_ = 0;
  bool watching_ = false;
  net::Nursery watch_;
};

}  // namespace

Task<Result<void>> relay(Leased leased) {
  Relay relay(std::move(leased));
  co_return co_await relay.run();
}

}  // namespace gatehouse::gateway
