// SPDX-License-Identifier: Apache-2.0
// RELAY and SETTLE: the request to the upstream, its answer back, byte for byte, watched on the
// way: the kill table between any two pieces, the credential's echo, and what the answer says of
// itself (usage, text, tool calls).
#include <fmt/format.h>

#include "base/find.h"
#include "base/log.h"
#include "gateway/exchange.h"
#include "gateway/injection.h"
#include "gateway/reading.h"
#include "gateway/responses_socket.h"
#include "gateway/signing.h"
#include "gateway/translated_answer.h"
#include "gateway/websocket.h"
#include "wire/content_coding.h"
#include "wire/retry_after.h"
#include "wire/trace.h"

namespace gatehouse::gateway {
namespace {

using net::Task;
using Kind = wire::BodyFraming::Kind;

constexpr Nanos kWriteMost = std::chrono::seconds(30);
constexpr Nanos kPatience = 20ms;  // an answer that takes longer is worth a watch on the client
constexpr std::size_t kAtHandMost = 64 * 1024;  // of what waits to be sent
constexpr std::size_t kKeptMost = 64 * 1024;    // of a body, to send it again
constexpr Nanos kDurableMost = 250ms;
constexpr Nanos kLastWordsMost = 2s;
constexpr Nanos kDrainMost = std::chrono::minutes(10);  // of an answer that nobody waits for
constexpr std::string_view kRemoved = "[credential removed by gatehouse]";

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

class Relay {
 public:
  explicit Relay(Leased leased)
      : leased_(std::move(leased)),
        ruled_(leased_.recorded.ruled),
        intent_(leased_.recorded.intent),
        gate_(*ruled_->gate),
        caller_(*ruled_->caller),
        guard_(gate_, leased_.lease),
        reading_(intent_, *ruled_),
        watch_(gate_.loop) {}
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  // A kill ends the task that this is of: there is no turn to wait in.
  ~Relay() {
    if (ruled_->model_route != nullptr) {
      intent_.tag("route.answered_by", name_of(*ruled_, ruled_->aim));
      intent_.tag("route.attempts", ruled_->attempted);
    }
    if (!gate_.is_killed(ruled_->door->run.run)) return;
    const std::string words = last_words({Error::kKilled, "the run was killed"});
    if (!words.empty()) caller_.say_last_now(words);
  }

  Task<Result<void>> run() {
    const Result<void> done = co_await exchange();
    // The lease ends, and the Intent is settled, before the connection carries anything else.
    if (done) {
      intent_.outcome.state = "done";
    } else {
      const bool is_cut = done.error() == Error::kKilled || agent_left_;
      intent_.fail(done.error(), is_cut ? "cut" : "failed");
    }
    co_return done;
  }

 private:
  Task<Result<void>> exchange() {
    const Instant dialled = gate_.loop.now();
    UpstreamExchange::Head head = CO_TRY(co_await chosen_answer());
    leased_.recorded.ruled->timing.upstream = gate_.loop.now() - dialled;
    intent_.tag("status", std::to_string(head.response.status));
    CO_TRY(prepare_redaction(head.response));
    if (head.response.status == 101) co_return co_await relay_websocket(std::move(head.response));
    CO_TRY(prepare_decoding(head.response, head.body));
    leased_.recorded.ruled->drop_body();
    prepare_translation(head.response);
    reading_.begin(head.response);
    if (!may_release_before_durable()) {
      CO_TRY(co_await intent_.recorder().wait_durable(intent_.position(),
                                                      gate_.loop.in(kDurableMost)));
    }
    CO_TRY(still_alive());
    const Result<void> relayed = co_await relay_body(std::move(head));
    if (!relayed) {
      co_await say_last_words(relayed.error());
      co_return relayed;
    }
    upstream_->release();
    co_return Result<void>();
  }

  // --- the attempts at it

  // The answer that the agent gets: of a model route that of the first target which has one, or the
  // last failure that there is.
  Task<Result<UpstreamExchange::Head>> chosen_answer() {
    while (true) {
      Result<UpstreamExchange::Head> head = co_await attempt();
      if (ruled_->model_route == nullptr || !may_go_on(head)) co_return head;
      if (!co_await move_on()) co_return head;
      ++gate_.counters.route_retries;
    }
  }
  Task<Result<UpstreamExchange::Head>> attempt() {
    edit_request();
    is_sent_ = false;
    const std::uint32_t total_s = timeouts().total_s;
    ends_ =
        total_s == 0 ? Deadline::never().at() : gate_.loop.now() + std::chrono::seconds(total_s);
    CO_TRY(co_await dial(Upstreams::Reuse::kAllowed));
    is_sent_ = true;
    UpstreamExchange::Head head = CO_TRY(co_await answered());
    if (head.response.status == 401 && CO_TRY(co_await sent_again())) {
      head = CO_TRY(co_await read_head());
    }
    co_return head;
  }
  // How an attempt ended is remembered, and put on record. Nothing of an answer has gone to the
  // agent yet.
  bool may_go_on(const Result<UpstreamExchange::Head>& head) {
    Exchange& of = *leased_.recorded.ruled;
    const bool was_taken = is_sent_ && !(upstream_ && upstream_->was_not_processed());
    const AttemptEnd end =
        head ? end_of_status(head->response.status) : end_of_error(head.error().code(), was_taken);
    note_attempt(of, of.aim,
                 head ? std::to_string(head->response.status)
                      : std::string(row_of(head.error().code()).label));
    std::optional<Nanos> asked;
    if (head)
      asked = wire::retry_after(head->response.headers.find("retry-after").value_or(""),
                                kAskedRestMost);
    const auto& call = std::get<LlmCall>(of.sent_call());
    const bool has_effects = !call.request.provider_tools.empty();
    Attempts& attempts = *of.attempts;
    const bool may = attempts.goes_on(of.aim.index, end, asked, has_effects, gate_.loop.now());
    if (attempts.has_set_aside()) ++gate_.counters.targets_set_aside;
    if (attempts.is_out_of_budget()) ++gate_.counters.route_retries_refused;
    return may;
  }
  // Aims at the next target, with a lease for it in the place of the last one. False: there is
  // none; then what the last one said still stands.
  Task<bool> move_on() {
    Exchange& of = *leased_.recorded.ruled;
    while (auto next = next_aim(of)) {
      Concurrency::Place place;
      std::swap(place, of.place);
      if (!take_place(of, *next)) {
        std::swap(place, of.place);
        note_attempt(of, *next, "busy");
        continue;
      }
      std::swap(of.aim, *next);
      if (co_await is_ready()) {
        guard_.replace(leased_.lease);
        caller_.refused_by.clear();
        co_return true;
      }
      std::swap(of.aim, *next);
      std::swap(place, of.place);
      note_attempt(of, *next, "not lent");
    }
    co_return false;
  }
  // What the target aimed at needs before anything is sent to it.
  Task<bool> is_ready() {
    const auto& call = std::get<LlmCall>(ruled_->sent_call());
    if (!call.request.provider_tools.empty()
        && !co_await intent_.recorder().wait_durable(intent_.position(),
                                                     gate_.loop.in(kDurableMost))) {
      co_return false;
    }
    co_return (co_await lease_again(leased_)).has_value();
  }

  // --- how long it may take

  [[nodiscard]] ipc::Timeouts timeouts() const {
    return ruled_->aim.service == nullptr ? ipc::Timeouts() : ruled_->aim.service->timeouts;
  }
  // `most` from now, or the end of the time that there is for all of it.
  [[nodiscard]] Deadline within(Nanos most) const {
    return Deadline(std::min(gate_.loop.in(most).at(), ends_));
  }
  // What an upstream did not do in time, in words.
  [[nodiscard]] Failure late(const Error& error, std::string_view what,
                             std::uint32_t most_s) const {
    if (error != Error::kTimeout) return Failure(error);
    if (gate_.loop.now() >= ends_) {
      return failure(Error::kTimeout,
                     fmt::format("the exchange with {} took more than {} s in all",
                                 ruled_->aim.destination.host, timeouts().total_s));
    }
    return failure(Error::kTimeout,
                   fmt::format("{} {} within {} s", ruled_->aim.destination.host, what, most_s));
  }

  // From here on it is frames that pass.
  Task<Result<void>> relay_websocket(wire::ResponseHead head) {
    watch_.cancel_all();
    CO_TRY(still_alive());
    wire::set_websocket_upgrade(head.headers);
    name_run(head.headers);
    tell_timing(head.headers);
    const Live stream(gate_.counters.live_streams);
    const RawConnection agent =
        CO_TRY(co_await caller_.switch_protocols(std::move(head), gate_.loop.in(kWriteMost)));
    const std::unique_ptr<WebSocketJudge> judge = judge_of(*ruled_);
    WebSocket socket({
        .loop = gate_.loop,
        .intent = intent_,
        .agent = agent,
        .upstream = upstream_->switched(),
        .forms = forms_,
        .replacement = kRemoved,
        .idle_most = std::chrono::seconds(timeouts().idle_s),
        .until = ends_,
        .still_alive = [this] { return still_alive(); },
        .look_for_placeholders =
            [this](std::string_view part) { return look_for_placeholders(part); },
        .is_killed = [this] { return gate_.is_killed(ruled_->door->run.run); },
        .ended_in_order = [this] { caller_.ended_in_order(); },
        .room = gate_.bodies,
        .room_of_run = ruled_->door->bodies,
        .reader = judge.get(),
    });
    const Result<void> done = co_await socket.run();
    agent_left_ = socket.agent_left();
    if (agent_left_) ++gate_.counters.client_left;
    co_return done;
  }

  // --- to the upstream

  void edit_request() {
    if (ruled_->aim.is_target) return reading_.hide_usage(ruled_->aim.hides_usage);
    if (!ruled_->edit) return;
    // Of a model's request it is the usage that is asked for: the agent did not.
    reading_.hide_usage(std::holds_alternative<LlmCall>(ruled_->call));
    leased_.recorded.ruled->edit_body();
  }

  Task<Result<void>> dial(Upstreams::Reuse reuse) {
    upstream_.reset();
    auto dialled = co_await gate_.upstreams.begin(
        ruled_->aim.destination, reuse, within(std::chrono::seconds(timeouts().connect_s)));
    if (!dialled) {
      if (dialled.error() == Error::kDenied) caller_.refused_by = "private-address";
      co_return Failure(dialled.error());
    }
    upstream_ = std::move(*dialled);
    co_return still_alive();
  }
  // The answer's head. A connection that was kept may have been closed by the upstream just when it
  // was used again: a safe request then goes once more, on a new one (RFC 9110 section 9.2.2). So
  // does any that the upstream has not begun with. Inlined, the frame of this would be a part of
  // the caller's, for as long as the answer streams.
  [[gnu::noinline]] Task<Result<UpstreamExchange::Head>> answered() {
    const bool again =
        upstream_->is_on_kept_connection() && ruled_->request.head.framing.kind == Kind::kNone
        && (ruled_->request.head.method == "GET" || ruled_->request.head.method == "HEAD");
    const Result<void> sent = co_await send_request();
    if (!sent && !again && !is_untouched()) co_return Failure(sent.error());
    if (sent) {
      auto head = co_await read_head();
      if (head || !(is_untouched() || (again && !upstream_->has_spoken()))) co_return head;
    }
    CO_TRY(co_await dial(Upstreams::Reuse::kNever));
    CO_TRY(co_await send_request());
    co_return co_await read_head();
  }

  // Whether the upstream has surely not begun with the request, and all of it is here.
  [[nodiscard]] bool is_untouched() const {
    return upstream_->was_not_processed()
           && (ruled_->body || ruled_->request.head.framing.kind == Kind::kNone);
  }

  Result<void> begin_request() {
    wire::RequestHead head = ruled_->request.head;
    head.headers = headers_for(*ruled_);
    if (ruled_->websocket) wire::set_websocket_upgrade(head.headers);
    for (const char* name : {"expect", "traceparent", "tracestate", "proxy-authorization"}) {
      head.headers.remove(name);
    }
    head.target = ruled_->aim.target;
    head.form = wire::TargetForm::kOrigin;
    head.headers.set("host", host_field(ruled_->aim.destination));
    head.headers.set("traceparent",
                     wire::TraceParent{ruled_->door->run.trace, ruled_->span, true}.text());
    if (!ruled_->tracestate.empty()) head.headers.set("tracestate", ruled_->tracestate);
    const bool inspected = !std::holds_alternative<HttpCall>(ruled_->call) || is_looked_through();
    if (inspected) head.headers.set("accept-encoding", "identity");
    const bool is_edited = asks_for_card();
    if (is_edited) {
      // What the agent knows is not what the upstream has.
      for (const char* name :
           {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"}) {
        head.headers.remove(name);
      }
    }
    if (is_edited || is_looked_through()) {
      // Of an answer that may echo the credential, no pieces that would hide it when seen alone.
      head.headers.remove("range");
      head.headers.remove("if-range");
    }
    head.headers.remove("content-length");
    head.framing = framing_of_request();
    std::string original;
    if (ruled_->is_elsewhere()) {
      if (!leased_.value.empty()) original = leased_.placeholder;
    } else if (!leased_.header.empty()) {
      const auto found = head.headers.find(leased_.header);
      if (found && !leased_.value.empty()) original = *found;
      head.headers.remove(ruled_->service->credential_header);  // the agent's own never passes
      if (takes_bearer_too(*ruled_->service)) head.headers.remove("authorization");
    }
    if (!leased_.signed_at.empty()) {
      make_ready_to_sign(head.headers, leased_.signed_at);
      original = leased_.placeholder;  // all of the agent's own signature is replaced
    }
    if (original.empty()) return upstream_->begin(std::move(head), {});
    return upstream_->begin(std::move(head), TRY(credential_field(leased_, original)));
  }
  [[nodiscard]] bool asks_for_card() const {
    const auto* agent = std::get_if<AgentCall>(&ruled_->call);
    return agent != nullptr && wire::answers_with_card(agent->request.operation);
  }
  [[nodiscard]] wire::BodyFraming framing_of_request() const {
    if (!ruled_->body) return ruled_->request.head.framing;
    if (!trailers().empty()) return {Kind::kChunked, 0};
    return {Kind::kLength, ruled_->sent_body().size()};
  }
  Task<Result<void>> send_request() {
    CO_TRY(begin_request());
    if (!ruled_->body) co_return co_await stream_request_body();
    CO_TRY(look_for_placeholders_in_trailers());
    co_return co_await finish_request(ruled_->sent_body());
  }
  // Nobody but the Service that the agent named knows what they mean.
  [[nodiscard]] wire::Headers trailers() const {
    return ruled_->is_elsewhere() ? wire::Headers() : caller_.request().trailers();
  }
  Task<Result<void>> finish_request(std::string_view rest) {
    wire::Headers fields = trailers();
    wire::remove_hop_by_hop(fields);
    const Result<void> sent =
        co_await upstream_->request().finish(rest, fields, within(kWriteMost));
    if (!sent) co_return Failure(sent.error().in("sending to " + ruled_->aim.destination.host));
    co_return Result<void>();
  }
  // A token that was revoked before its time: the request, if it is all still here, goes once more
  // with a renewed one. A request that was answered 401 has had no effect (RFC 9110 section
  // 15.5.2). Without a renewal the upstream's answer stands.
  [[gnu::noinline]] Task<Result<bool>> sent_again() {
    if (!leased_.renewable || (!ruled_->body && !kept_body_)) co_return false;
    if (const Result<void> renewed = co_await renew(leased_); !renewed) co_return false;
    guard_.replace(leased_.lease);
    intent_.tag("renewed", "after 401");
    CO_TRY(co_await dial(Upstreams::Reuse::kAllowed));
    CO_TRY(co_await send_request());
    co_return true;
  }
  // A body that need not be understood goes through in pieces; memory does not grow with it.
  Task<Result<void>> stream_request_body() {
    MessageIn& from = caller_.request();
    MessageOut& to = upstream_->request();
    if (kept_body_) co_return co_await finish_request(*kept_body_);  // once more
    if (leased_.renewable) kept_body_.emplace();
    CO_TRY(pass_up(ruled_->begun));
    while (!from.is_done()) {
      const Piece piece = CO_TRY(from.piece());
      CO_TRY(pass_up(piece.payload));
      if (piece.done) break;
      if (to.waiting() > (piece.payload.empty() ? 0 : kAtHandMost)) {
        // What is at hand goes out before we wait for more.
        CO_TRY(still_alive());
        const Result<void> sent = co_await to.flush(within(kWriteMost));
        if (!sent) co_return Failure(sent.error().in("sending to " + ruled_->aim.destination.host));
      }
      if (!piece.payload.empty()) continue;
      if (!CO_TRY(co_await from.more(gate_.loop.in(kWriteMost)))) {
        co_return failure(Error::kClosed, "the request's body broke off");
      }
    }
    CO_TRY(still_alive());
    CO_TRY(look_for_placeholders_in_trailers());
    co_return co_await finish_request("");
  }
  Result<void> pass_up(std::string_view payload) {
    if (payload.empty()) return {};
    TRY(look_for_placeholders(payload));
    upstream_->request().add(payload);
    reading_.sent(payload);
    keep(payload);
    return {};
  }
  Result<void> look_for_placeholders_in_trailers() {
    for (const wire::Header trailer : caller_.request().trailers()) {
      if (const ipc::Placeholder* found = ruled_->door->placeholder_in(trailer.value)) {
        return misuse(ruled_, intent_, *found);
      }
    }
    return {};
  }
  // A placeholder in a body that is streamed: what has gone is not whole, and no more goes.
  Result<void> look_for_placeholders(std::string_view payload) {
    if (ruled_->door->placeholders.empty()) return {};
    body_tail_ += payload;
    std::size_t longest = 0;
    for (const ipc::Placeholder& placeholder : ruled_->door->placeholders) {
      longest = std::max(longest, placeholder.text.size());
      if (is_in(body_tail_, placeholder.text)) return misuse(ruled_, intent_, placeholder);
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

  // --- from the upstream

  Task<Result<UpstreamExchange::Head>> read_head() {
    const std::uint32_t most_s = timeouts().first_byte_s;
    const Deadline deadline = within(std::chrono::seconds(most_s));
    const std::string& host = ruled_->aim.destination.host;
    while (true) {
      const Result<bool> more = co_await more_from_upstream(deadline);
      if (!more) co_return late(more.error(), "did not answer", most_s);
      if (!*more) {
        co_return failure(Error::kUpstream, host + " closed without an answer");
      }
      auto head = upstream_->head();
      if (!head) {
        co_return failure(Error::kUpstream, fmt::format("{} answered with broken HTTP: {}", host,
                                                        head.error().message()));
      }
      if (!*head) continue;
      if ((*head)->response.status == 101) CO_TRY(check_switch(*ruled_, (*head)->response));
      co_return std::move(**head);
    }
  }
  // Reads once. An upstream that lets us wait gets a watch on the caller beside it.
  Task<Result<bool>> more_from_upstream(Deadline deadline) {
    // Also of an answer that never makes us wait.
    if (gate_.loop.now() >= ends_) co_return failure(Error::kTimeout, "its time is over");
    MessageIn& from = upstream_->answer();
    if (!watching_ && !is_drained()) {
      Result<bool> soon = co_await from.more(gate_.loop.in(kPatience));
      if (soon || soon.error().code() != Error::kTimeout) co_return soon;
      watching_ = true;
      caller_.watch(watch_);
    }
    co_return co_await from.more_after_silence(deadline);
  }

  // Whether an answer whose agent has left is taken all the same: for what it says it used.
  [[nodiscard]] bool is_drained() const {
    return std::holds_alternative<LlmCall>(ruled_->call) && ruled_->aim.service->drains;
  }

  // What may come back in any answer from that upstream, also to a request without a credential.
  [[nodiscard]] bool is_looked_through() const { return redactor_ || !leased_.known.empty(); }
  Result<void> prepare_redaction(wire::ResponseHead& head) {
    if (!is_looked_through()) return {};
    forms_ = TRY(forms());
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
    if (!redactor_ && std::holds_alternative<HttpCall>(ruled_->call)) return {};
    const auto coding = wire::content_coding_of(head.headers);
    if (!coding) {
      if (!redactor_) return {};  // it is relayed; what it says of itself stays unknown
      return failure(Error::kUpstream,
                     "the upstream compressed an answer that must be looked through in a way that "
                     "is not understood, though it was asked not to");
    }
    if (*coding == wire::ContentCoding::kIdentity) return {};
    head.headers.remove("content-encoding");
    decoder_.emplace(*coding, wire::DecodingLimits{.size_most = UINT64_MAX});
    return {};
  }
  // An answer in another dialect goes back in the agent's.
  void prepare_translation(wire::ResponseHead& head) {
    if (!ruled_->aim.translated) return;
    translation_.emplace(*ruled_, head, gate_.loop.wall().unix_seconds());
    reading_.read_instead(translation_->answer());
  }
  Result<std::shared_ptr<const wire::RedactionForms>> forms() {
    return ruled_->door->known.forms_of(ruled_->aim.destination.host, std::move(leased_.known));
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

  Task<Result<void>> relay_body(UpstreamExchange::Head head) {
    wire::BodyFraming body = head.body;
    // Redaction, or usage that is hidden, may change the length, so that it cannot be promised.
    const bool known = body.kind == Kind::kLength && !redactor_ && !decoder_
                       && !reading_.hides_usage() && !translation_;
    if (body.kind != Kind::kNone && !known) body = {Kind::kChunked, 0};
    wire::Headers& headers = head.response.headers;
    wire::remove_hop_by_hop(headers);
    if (body.kind != Kind::kNone) headers.remove("content-length");
    name_run(headers);
    std::optional<Live> stream;
    if (headers.find("content-type").value_or("").starts_with("text/event-stream")) {
      stream.emplace(gate_.counters.live_streams);
    }
    tell_timing(headers);
    if (reading_.holds_back()) co_return co_await relay_edited(std::move(head.response));
    if (translation_ && !translation_->is_stream()) {
      co_return co_await relay_translated(std::move(head.response));
    }
    CO_TRY(caller_.begin(std::move(head.response), body));
    CO_TRY(co_await relay_pieces());
    if (translation_) {
      const std::string rest = CO_TRY(translation_->finish());
      caller_.answer().add(reading_.take(rest));
    }
    wire::Headers trailers = CO_TRY(finished_trailers());
    CO_TRY(co_await to_caller(
        caller_.answer().finish(reading_.finish(), trailers, gate_.loop.in(kWriteMost))));
    if (drained_until_) {
      co_return failure(Error::kClosed, "the agent left; the answer was taken to its end");
    }
    co_return Result<void>();
  }
  // An answer that is edited as a whole: the agent is told nothing before all of it has come, so
  // that one that cannot be edited is refused in order.
  Task<Result<void>> relay_edited(wire::ResponseHead head) {
    CO_TRY(co_await relay_pieces());
    const std::string body = CO_TRY(reading_.edited());
    for (const char* name : {"etag", "last-modified", "accept-ranges", "content-md5", "digest",
                             "content-digest", "repr-digest"}) {
      head.headers.remove(name);  // they are of what the upstream sent
    }
    CO_TRY(caller_.begin(std::move(head), {Kind::kLength, body.size()}));
    const wire::Headers no_trailers;
    co_return co_await to_caller(
        caller_.answer().finish(body, no_trailers, gate_.loop.in(kWriteMost)));
  }
  void name_run(wire::Headers& headers) const {
    headers.set("x-gatehouse-run", ruled_->door->run_text);
    headers.set("x-gatehouse-trace", ruled_->door->trace_text);
  }
  // One in another dialect that is no stream: it is refused in order where it cannot be carried
  // over.
  Task<Result<void>> relay_translated(wire::ResponseHead head) {
    CO_TRY(co_await relay_pieces());
    const std::string body = CO_TRY(translation_->finish());
    CO_TRY(caller_.begin(std::move(head), {Kind::kLength, body.size()}));
    const wire::Headers no_trailers;
    co_return co_await to_caller(
        caller_.answer().finish(reading_.take(body), no_trailers, gate_.loop.in(kWriteMost)));
  }
  // A piece of the answer, as the agent may see it: on to the agent, in its dialect.
  Result<void> give(std::string_view payload) {
    if (!translation_) {
      caller_.answer().add(reading_.take(payload));
      return {};
    }
    const std::string text = TRY(translation_->feed(payload));
    if (!text.empty()) caller_.answer().add(reading_.take(text));
    return {};
  }
  // Where the time went, for the agent's developer and for the metrics. What the upstream says of
  // its own time stands beside it.
  void tell_timing(wire::Headers& headers) {
    const Timing& timing = ruled_->timing;
    const Nanos whole = gate_.loop.now() - ruled_->began;
    headers.add("server-timing", server_timing(timing, whole));
    gate_.counters.own_time.observe(own_part(timing, whole));
    gate_.counters.upstream_time.observe(timing.upstream);
  }
  void note_first_chunk() {
    if (std::exchange(first_chunk_came_, true)) return;
    if (!std::holds_alternative<LlmCall>(ruled_->call)) return;
    gate_.counters.llm_first_chunk_time.observe(gate_.loop.now() - ruled_->began);
  }
  Task<Result<void>> relay_pieces() {
    MessageIn& from = upstream_->answer();
    MessageOut& to = caller_.answer();
    std::string decoded;
    std::string clean;
    while (!from.is_done()) {
      const Result<Piece> piece = from.piece();
      if (!piece) co_return failure(Error::kUpstream, piece.error().message());
      if (piece->is_nothing()) {
        // What is at hand goes out before we wait for more.
        if (to.waiting() > 0) CO_TRY(co_await to_caller(to.flush(gate_.loop.in(kWriteMost))));
        reading_.catch_up();
        const std::uint32_t most_s = timeouts().idle_s;
        const auto more = co_await more_from_upstream(within(std::chrono::seconds(most_s)));
        if (!more) co_return late(more.error(), "sent nothing more", most_s);
        if (!*more) {
          CO_TRY(from.closed());
          break;
        }
        CO_TRY(still_alive());
        continue;
      }
      note_first_chunk();
      std::string_view payload = piece->payload;
      if (decoder_) {
        decoded.clear();
        CO_TRY(as_upstreams(decoder_->feed(payload, decoded)));
        payload = decoded;
      }
      if (redactor_) {
        clean.clear();
        redactor_->feed(payload, clean);
        payload = clean;
      }
      CO_TRY(give(payload));
      if (to.waiting() >= kAtHandMost)
        CO_TRY(co_await to_caller(to.flush(gate_.loop.in(kWriteMost))));
    }
    if (decoder_) CO_TRY(as_upstreams(decoder_->finish()));
    if (!redactor_) co_return Result<void>();
    clean.clear();
    redactor_->finish(clean);
    CO_TRY(give(clean));
    if (redactor_->hits() > 0) intent_.tag("credential_echoes", std::to_string(redactor_->hits()));
    co_return Result<void>();
  }
  // What is wrong with an answer's coding is its sender's fault.
  static Result<void> as_upstreams(const Result<void>& decoded) {
    if (decoded) return {};
    return failure(Error::kUpstream, "the upstream's answer: " + decoded.error().message());
  }
  Result<wire::Headers> finished_trailers() {
    wire::Headers trailers = upstream_->answer().trailers();
    wire::remove_hop_by_hop(trailers);
    return trailers.empty() || !redactor_ ? trailers : redacted(trailers);
  }
  Task<Result<void>> to_caller(Task<Result<void>> sending) {
    if (drained_until_) {
      caller_.answer().discard();
      if (gate_.loop.now() < *drained_until_) co_return Result<void>();
      co_return failure(Error::kClosed, "the agent left, and the answer has not ended since");
    }
    const Result<void> written = co_await std::move(sending);
    if (written) co_return Result<void>();
    agent_left_ = true;
    if (!is_drained()) co_return Failure(written.error().in("the agent"));
    drained_until_ = gate_.loop.now() + kDrainMost;
    co_return Result<void>();
  }
  // The event that tells why a model's stream ends here, behind what is still to be sent of it; ""
  // where that cannot be told. What would end the stream in order is never sent.
  std::string last_words(const Error& error) {
    return caller_.takes_last_words() ? reading_.error_event(error) : "";
  }
  Task<void> say_last_words(Error error) {
    const std::string words = last_words(error);
    if (!words.empty()) co_await caller_.say_last(words, gate_.loop.in(kLastWordsMost));
  }

  Leased leased_;
  const Ruled& ruled_;
  Intent& intent_;
  Gate& gate_;
  Caller& caller_;
  LeaseGuard guard_;
  std::optional<TranslatedAnswer> translation_;  // of an answer in another dialect
  Reading reading_;
  std::unique_ptr<UpstreamExchange> upstream_;
  std::shared_ptr<const wire::RedactionForms> forms_;
  std::optional<wire::Redactor> redactor_;
  std::optional<wire::ContentDecoder> decoder_;
  std::optional<std::string> kept_body_;  // all that was streamed, while it is small
  std::string body_tail_;  // of what was streamed: a placeholder may lie across two pieces
  Instant ends_ = Deadline::never().at();  // of the time for all of it
  bool is_sent_ = false;                   // of the request, something may have been
  bool agent_left_ = false;
  bool first_chunk_came_ = false;
  std::optional<Instant> drained_until_;  // what comes after it left
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
