// SPDX-License-Identifier: Apache-2.0
#include "gateway/asking.h"

#include <fmt/format.h>

#include "gateway/injection.h"
#include "gateway/model_list.h"
#include "gateway/responses_socket.h"
#include "gateway/signing.h"
#include "wire/retry_after.h"
#include "wire/trace.h"

namespace gatehouse::gateway {
namespace {

using net::Task;
using Head = UpstreamExchange::Head;
using Kind = wire::BodyFraming::Kind;

constexpr std::size_t kKeptMost = 64 * 1024;  // of a body, to send it again

class Asking {
 public:
  explicit Asking(Relaying& of)
      : of_(of), leased_(of.leased), exchange_(*of.leased), placeholders_(of.leased) {}
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;

  Task<Result<Head>> chosen_answer() {
    while (true) {
      Result<Head> head = co_await attempt();
      if (!head && ended_how(head) == AttemptEnd::kNoAnswer) of_.reading.book_unanswered();
      if (exchange_.model_route == nullptr || !may_go_on(head)) co_return head;
      if (!co_await move_on()) co_return head;
      ++gate().counters.route_retries;
    }
  }

 private:
  [[nodiscard]] Gate& gate() const { return of_.gate(); }
  [[nodiscard]] UpstreamExchange& upstream() const { return *of_.upstream; }
  [[nodiscard]] const std::string& host() const { return exchange_.aim.destination.host; }

  // --- the attempts at it

  Task<Result<Head>> attempt() {
    edit_request();
    is_sent_ = false;
    const std::uint32_t total_s = of_.timeouts().total_s;
    of_.ends =
        total_s == 0 ? Deadline::never().at() : gate().loop.now() + std::chrono::seconds(total_s);
    CO_TRY(co_await dial(Upstreams::Reuse::kAllowed));
    is_sent_ = true;
    Head head = CO_TRY(co_await answered());
    if (head.response.status == 401 && CO_TRY(co_await sent_again())) {
      head = CO_TRY(co_await read_head());
    }
    co_return head;
  }
  [[nodiscard]] AttemptEnd ended_how(const Result<Head>& head) const {
    if (head) return end_of_status(head->response.status);
    const bool was_taken = is_sent_ && !(of_.upstream && upstream().was_not_processed());
    return end_of_error(head.error().code(), was_taken);
  }
  // How an attempt ended is remembered, and put on record. Nothing of an answer has gone to the
  // agent yet.
  bool may_go_on(const Result<Head>& head) {
    const AttemptEnd end = ended_how(head);
    note_attempt(exchange_, exchange_.aim,
                 head ? std::to_string(head->response.status)
                      : std::string(row_of(head.error().code()).label));
    std::optional<Nanos> asked;
    if (head) {
      asked = wire::retry_after(head->response.headers.find("retry-after").value_or(""),
                                kAskedRestMost, gate().loop.wall());
    }
    const auto& call = std::get<LlmCall>(exchange_.sent_call());
    const bool has_effects = !call.request.provider_tools.empty();
    Attempts& attempts = *exchange_.attempts;
    const bool may =
        attempts.goes_on(exchange_.aim.index, end, asked, has_effects, gate().loop.now());
    if (attempts.has_set_aside()) ++gate().counters.targets_set_aside;
    if (attempts.is_out_of_budget()) ++gate().counters.route_retries_refused;
    return may;
  }
  // Aims at the next target, with a lease for it in the place of the last one. False: there is
  // none; then what the last one said still stands.
  Task<bool> move_on() {
    Exchange& of = exchange_;
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
        of_.guard.replace(leased_.lent().lease);
        of_.caller().refused_by.clear();
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
    const auto& call = std::get<LlmCall>(exchange_.sent_call());
    Intent& intent = of_.intent();
    if (!call.request.provider_tools.empty()
        && !co_await intent.recorder().wait_durable(intent.position(),
                                                    gate().loop.in(kDurableMost))) {
      co_return false;
    }
    co_return (co_await lease_again(leased_)).has_value();
  }

  // --- the request

  void edit_request() {
    if (exchange_.aim.is_target) return of_.reading.hide_usage(exchange_.aim.hides_usage);
    if (!exchange_.edit) return;
    // Of a model's request it is the usage that is asked for: the agent did not.
    of_.reading.hide_usage(std::holds_alternative<LlmCall>(exchange_.call));
    exchange_.edit_body();
  }
  Task<Result<void>> dial(Upstreams::Reuse reuse) {
    of_.upstream.reset();
    auto dialled =
        co_await gate().upstreams.begin(exchange_.aim.destination, reuse,
                                        of_.within(std::chrono::seconds(of_.timeouts().connect_s)));
    if (!dialled) {
      if (dialled.error() == Error::kDenied) of_.caller().refused_by = "private-address";
      co_return Failure(dialled.error());
    }
    of_.upstream = std::move(*dialled);
    co_return of_.still_alive();
  }
  // The answer's head. A connection that was kept may have been closed by the upstream just when it
  // was used again: a safe request then goes once more, on a new one (RFC 9110 section 9.2.2). So
  // does any that the upstream has not begun with.
  Task<Result<Head>> answered() {
    const wire::RequestHead& request = exchange_.request.head;
    const bool again = upstream().is_on_kept_connection() && request.framing.kind == Kind::kNone
                       && (request.method == "GET" || request.method == "HEAD");
    const Result<void> sent = co_await send_request();
    if (!sent && !again && !is_untouched()) co_return Failure(sent.error());
    if (sent) {
      auto head = co_await read_head();
      if (head || !(is_untouched() || (again && !upstream().has_spoken()))) co_return head;
    }
    CO_TRY(co_await dial(Upstreams::Reuse::kNever));
    CO_TRY(co_await send_request());
    co_return co_await read_head();
  }
  // Whether the upstream has surely not begun with the request, and all of it is here.
  [[nodiscard]] bool is_untouched() const {
    return upstream().was_not_processed()
           && (exchange_.body || exchange_.request.head.framing.kind == Kind::kNone);
  }
  // A token that was revoked before its time: the request, if it is all still here, goes once more
  // with a renewed one. A request that was answered 401 has had no effect (RFC 9110 section
  // 15.5.2). Without a renewal the upstream's answer stands.
  Task<Result<bool>> sent_again() {
    if (!leased_.lent().renewable || (!exchange_.body && !kept_body_)) co_return false;
    if (const Result<void> renewed = co_await renew(leased_); !renewed) co_return false;
    of_.guard.replace(leased_.lent().lease);
    of_.intent().tag("renewed", "after 401");
    CO_TRY(co_await dial(Upstreams::Reuse::kAllowed));
    CO_TRY(co_await send_request());
    co_return true;
  }

  Result<void> begin_request() {
    const wire::RequestHead& agents = exchange_.request.head;
    wire::RequestHead head;
    head.method = agents.method;
    head.scheme = agents.scheme;
    head.authority = agents.authority;
    head.version = agents.version;
    head.headers = headers_for(exchange_);
    if (exchange_.websocket) wire::set_websocket_upgrade(head.headers);
    for (const char* name : {"expect", "traceparent", "tracestate", "proxy-authorization"}) {
      head.headers.remove(name);
    }
    head.target = exchange_.aim.target;
    head.form = wire::TargetForm::kOrigin;
    head.headers.set("host", host_field(exchange_.aim.destination));
    head.headers.set("traceparent",
                     wire::TraceParent{exchange_.door->run.trace, exchange_.span, true}.text());
    if (!exchange_.tracestate.empty()) head.headers.set("tracestate", exchange_.tracestate);
    // What may come back in any answer from that upstream, also to a request without a credential.
    const bool is_looked_through = !leased_.lent().known.empty();
    const bool is_edited = asks_for_card() || !listed_aliases(exchange_).empty();
    const bool is_inspected = is_edited || !std::holds_alternative<HttpCall>(exchange_.call);
    if (is_inspected || is_looked_through) head.headers.set("accept-encoding", "identity");
    if (is_edited) {
      // What the agent knows is not what the upstream has.
      for (const char* name :
           {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"}) {
        head.headers.remove(name);
      }
    }
    if (is_edited || is_looked_through) {
      // Of an answer that may echo the credential, no pieces that would hide it when seen alone.
      head.headers.remove("range");
      head.headers.remove("if-range");
    }
    head.headers.remove("content-length");
    head.framing = framing_of_request();
    const std::string original = taken_out(head.headers);
    if (original.empty()) return upstream().begin(std::move(head), {});
    return upstream().begin(std::move(head), TRY(credential_field(leased_, original)));
  }
  // Takes the agent's own credential out of the fields. What it was is the one that the leased
  // value is put into; "" where there is none.
  std::string taken_out(wire::Headers& headers) {
    const Lent& lent = leased_.lent();
    std::string original;
    if (exchange_.is_elsewhere()) {
      if (!lent.value.empty()) original = lent.placeholder;
    } else if (!lent.header.empty()) {
      const auto found = headers.find(lent.header);
      if (found && !lent.value.empty()) original = *found;
      headers.remove(exchange_.service->credential_header);  // the agent's own never passes
      if (takes_bearer_too(*exchange_.service)) headers.remove("authorization");
    }
    if (!lent.signed_at.empty()) {
      make_ready_to_sign(headers, lent.signed_at);
      original = lent.placeholder;  // all of the agent's own signature is replaced
    }
    return original;
  }
  [[nodiscard]] bool asks_for_card() const {
    const auto* agent = std::get_if<AgentCall>(&exchange_.call);
    return agent != nullptr && wire::answers_with_card(agent->request.operation);
  }
  [[nodiscard]] wire::BodyFraming framing_of_request() const {
    if (!exchange_.body) return exchange_.request.head.framing;
    if (!trailers().empty()) return {Kind::kChunked, 0};
    return {Kind::kLength, exchange_.sent_body().size()};
  }
  Task<Result<void>> send_request() {
    CO_TRY(begin_request());
    if (!exchange_.body) co_return co_await stream_request_body();
    CO_TRY(look_for_placeholders_in_trailers());
    co_return co_await finish_request(exchange_.sent_body());
  }
  // Whoever asked is still there: that the connection is gone is the upstream's doing.
  [[nodiscard]] Failure not_taken(const Error& error) const {
    const auto code = error == Error::kClosed ? Error::kUpstream : error.code();
    return failure(code, "sending to " + host() + ": " + error.message());
  }
  // Nobody but the Service that the agent named knows what they mean.
  [[nodiscard]] wire::Headers trailers() const {
    return exchange_.is_elsewhere() ? wire::Headers() : of_.caller().request().trailers();
  }
  Task<Result<void>> finish_request(std::string_view rest) {
    wire::Headers fields = trailers();
    wire::remove_hop_by_hop(fields);
    const Result<void> sent =
        co_await upstream().request().finish(rest, fields, of_.within(kPeerTakesMost));
    if (!sent) co_return not_taken(sent.error());
    co_return Result<void>();
  }
  // A body that need not be understood goes through in pieces; memory does not grow with it.
  Task<Result<void>> stream_request_body() {
    MessageIn& from = of_.caller().request();
    MessageOut& to = upstream().request();
    if (kept_body_) co_return co_await finish_request(*kept_body_);  // once more
    if (leased_.lent().renewable) kept_body_.emplace();
    CO_TRY(pass_up(exchange_.begun));
    while (!from.is_done()) {
      const Piece piece = CO_TRY(from.piece());
      CO_TRY(pass_up(piece.payload));
      if (piece.done) break;
      if (to.waiting() > (piece.payload.empty() ? 0 : kAtHandMost)) {
        // What is at hand goes out before we wait for more.
        CO_TRY(of_.still_alive());
        const Result<void> sent = co_await to.flush(of_.within(kPeerTakesMost));
        if (!sent) co_return not_taken(sent.error());
      }
      if (!piece.payload.empty()) continue;
      if (!CO_TRY(co_await from.more(gate().loop.in(kPeerTakesMost)))) {
        co_return failure(Error::kClosed, "the request's body broke off");
      }
    }
    CO_TRY(of_.still_alive());
    CO_TRY(look_for_placeholders_in_trailers());
    co_return co_await finish_request("");
  }
  Result<void> pass_up(std::string_view payload) {
    if (payload.empty()) return {};
    TRY(placeholders_.look_through(payload));
    upstream().request().add(payload);
    of_.reading.sent(payload);
    keep(payload);
    return {};
  }
  Result<void> look_for_placeholders_in_trailers() {
    for (const wire::Header trailer : of_.caller().request().trailers()) {
      if (const ipc::Placeholder* found = exchange_.door->placeholder_in(trailer.value)) {
        return misuse(leased_, of_.intent(), *found);
      }
    }
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

  // --- the answer

  Task<Result<Head>> read_head() {
    const std::uint32_t most_s = of_.timeouts().first_byte_s;
    const Deadline deadline = of_.within(std::chrono::seconds(most_s));
    while (true) {
      const Result<bool> more = co_await of_.more_from_upstream(deadline);
      if (!more) co_return of_.late(more.error(), "did not answer", most_s);
      if (!*more) {
        co_return failure(Error::kUpstream, host() + " closed without an answer");
      }
      auto head = upstream().head();
      if (!head) {
        co_return failure(Error::kUpstream, fmt::format("{} answered with broken HTTP: {}", host(),
                                                        head.error().message()));
      }
      if (!*head) continue;
      if ((*head)->response.status == 101) CO_TRY(check_switch(exchange_, (*head)->response));
      co_return std::move(**head);
    }
  }

  Relaying& of_;
  Leased& leased_;
  Exchange& exchange_;
  PlaceholderSearch placeholders_;
  std::optional<std::string> kept_body_;  // all that was streamed, while it is small
  bool is_sent_ = false;                  // of the request, something may have been
};

}  // namespace

Task<Result<Head>> asked(Relaying& of) {
  Asking asking(of);
  co_return co_await asking.chosen_answer();
}

}  // namespace gatehouse::gateway
