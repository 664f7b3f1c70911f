// SPDX-License-Identifier: Apache-2.0
// The life of one Exchange, in one direction:
//
//   identify -> interpret -> route -> rule -> record -> lease -> relay -> settle
//
// Each phase is a type that only its own function makes and the next consumes by move, so that
// `relay` cannot be called without an allowed Ruling, an Intent (durable where it must be) and a
// Lease. exchange.cc is the page to read first.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "gateway/call.h"
#include "gateway/caller.h"
#include "gateway/conversations.h"
#include "gateway/gate.h"
#include "gateway/intent.h"
#include "gateway/model_route.h"
#include "gateway/room.h"
#include "gateway/timing.h"
#include "wire/http1.h"
#include "wire/redact.h"
#include "wire/websocket.h"

namespace gatehouse::gateway {

// What came: the request's head, where it is meant to go, and through which Door.
struct Decoded {
  wire::RequestHead head;
  wire::Host host;
  std::uint16_t port = 0;
  bool tls = false;
};

// What is known of an Exchange that ended before it was on record: it goes on record with why.
struct Unrecorded {
  std::string method;
  std::string host;
  std::string path;                    // without its query
  std::optional<ExchangeId> exchange;  // none where it had not begun
  SpanId span;
};

// What the vault has lent for one Exchange.
struct Lent {
  LeaseId lease = ipc::no_lease();
  Secret value;             // empty: this Exchange needs no credential
  std::string placeholder;  // what it stands for
  std::string_view header;  // which carries it; "" at a Service without a credential
  bool renewable = false;   // a 401 is worth one renewal
  std::string signed_at;    // where `value` is a signature: the date that it is for
  // What the Run was ever leased towards the upstream, `value` among it.
  std::vector<Secret> known;
};

// All that is known of one Exchange, at one place for its whole life; the types of the phases,
// which are no more than its owners, say how far it is filled.
struct Exchange {
  Exchange(Gate& of, Door& through) : gate(&of), door(&through), kept(of.bodies, through.bodies) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  // Tells `unrecorded`.
  ~Exchange();

  Unrecorded* unrecorded = nullptr;  // until RECORD has put it on record
  // IDENTIFY
  Gate* gate;
  Door* door;
  Caller* caller = nullptr;
  ExchangeId exchange = ExchangeId::fresh();
  SpanId span = SpanId::fresh();
  std::string linked_trace;      // the agent's own traceparent where it names another trace
  std::string tracestate;        // the agent's, where its traceparent names this trace
  std::optional<SpanId> parent;  // the agent's own span, where it does
  Instant began;
  Timing timing;
  Decoded request;
  std::string path;   // canonical; what is matched is what is sent
  std::string query;  // with its '?', or empty
  // INTERPRET
  std::shared_ptr<const Rulebook> rulebook;
  const ipc::ServiceSpec* service = nullptr;  // null: a host that is no Service
  std::optional<wire::LlmEndpoint> endpoint;  // of a model provider's Service
  // What the agent offers where it asks for a WebSocket.
  std::optional<wire::WebSocketOffer> websocket;
  // Of a message that is an Exchange of its own: that of the WebSocket that it came through.
  std::optional<ExchangeId> socket;
  Call call;
  Known known;  // of a model's request: what the Run has said before
  // Whole, where the Call is in it or where it is small; else it is relayed as it comes.
  std::optional<std::string> body;
  std::string begun;  // of the latter: what came of it until now
  // What `body` says, where it came in a content coding and its meaning is in it.
  std::optional<std::string> decoded;
  // Of what the body says, for the upstream alone: on record is what the agent sent.
  std::optional<wire::TextEdit> edit;
  // What `placeholder_in_body` has found, once it was asked.
  mutable std::optional<const ipc::Placeholder*> found_in_body;
  Room::Share kept;  // what `body` and `decoded` take of the gateway's memory
  // ROUTE
  Aim aim;
  const ipc::ModelRouteSpec* model_route = nullptr;  // by which the aim is chosen; null: by none
  std::unique_ptr<Attempts> attempts;                // of a model route
  std::string attempted;                             // what came of them until now
  // RULE
  Ruling ruling;
  // LEASE
  Concurrency::Place place;  // at the Service aimed at, until the answer has ended

  // The method, as rules name it.
  [[nodiscard]] std::string_view method() const {
    return websocket ? wire::kWebSocketMethod : std::string_view(request.head.method);
  }
  // Of a model's request.
  [[nodiscard]] Speaker speaker() const {
    return {door->run.run, endpoint->dialect, endpoint->operation};
  }
  [[nodiscard]] std::string_view readable_body() const { return decoded ? *decoded : *body; }
  // Whether it goes to another Service than the one that the agent named.
  [[nodiscard]] bool is_elsewhere() const { return aim.service != service; }
  // The first placeholder of the Run that the body holds as it came; null if none. What the Run has
  // said before held none, and is not looked through again.
  [[nodiscard]] const ipc::Placeholder* placeholder_in_body() const;
  // The body as it goes out; there is one.
  [[nodiscard]] std::string_view sent_body() const { return aim.body ? *aim.body : *body; }
  // The call as it goes out.
  [[nodiscard]] const Call& sent_call() const { return aim.is_target ? *aim.call : call; }
  // Makes the edit. What the body says goes out without the coding that it came in.
  void edit_body();
  // The request has gone for good: an answer has come, which may last. What only the request needed
  // goes.
  void drop_request();

 private:
  friend class Recorded;
  friend class Leased;
  Lent lent_;                     // LEASE
  std::optional<Intent> intent_;  // RECORD; last, so that it is settled before all else goes
};

// Whether it is a WebSocket whose messages are read and ruled on, each by itself.
[[nodiscard]] inline bool is_governed_socket(const Exchange& of) {
  return of.websocket && of.endpoint && std::holds_alternative<HttpCall>(of.call)
         && of.endpoint->standing == wire::LlmEndpoint::Standing::kGoverned;
}

class Interpreted;

class Identified {
 public:
  [[nodiscard]] Exchange* operator->() const { return known_.get(); }
  [[nodiscard]] Exchange& operator*() const { return *known_; }

 private:
  explicit Identified(std::unique_ptr<Exchange> known) : known_(std::move(known)) {}
  friend Result<Identified> identify(Gate&, Door&, Caller&, Decoded&);
  friend Result<Interpreted> interpret_message(const Exchange&, std::string, LlmCall);
  std::unique_ptr<Exchange> known_;
};

class Interpreted : public Identified {
  explicit Interpreted(Identified from) : Identified(std::move(from)) {}
  friend net::Task<Result<Interpreted>> interpret(Identified);
  friend Result<Interpreted> interpret_message(const Exchange&, std::string, LlmCall);
};

class Routed : public Interpreted {
  explicit Routed(Interpreted from) : Interpreted(std::move(from)) {}
  friend Result<Routed> route(Interpreted);
};

class Ruled : public Routed {
  explicit Ruled(Routed from) : Routed(std::move(from)) {}
  friend Result<Ruled> rule(Routed);
};

class Recorded : public Ruled {
 public:
  [[nodiscard]] Intent& intent() const { return *(*this)->intent_; }

 private:
  Recorded(Ruled from, Intent opened) : Ruled(std::move(from)) {
    (*this)->intent_.emplace(std::move(opened));
  }
  friend net::Task<Result<Recorded>> record(Ruled);
};

class Leased : public Recorded {
 public:
  [[nodiscard]] Lent& lent() const { return (*this)->lent_; }

 private:
  explicit Leased(Recorded from) : Recorded(std::move(from)) {}
  friend net::Task<Result<Leased>> lease(Recorded);
};

// `request` stays as it was where this fails.
[[nodiscard]] Result<Identified> identify(Gate& gate, Door& door, Caller& caller, Decoded& request);
[[nodiscard]] net::Task<Result<Interpreted>> interpret(Identified who);
// A message of a WebSocket that asks a model, as an Exchange of its own: from here on it goes
// through the phases up to its record, by the rules that are in force now. Errors: kDenied when its
// Service is gone, kKilled, kExhausted when there is no room for it.
[[nodiscard]] Result<Interpreted> interpret_message(const Exchange& socket, std::string message,
                                                    LlmCall call);
[[nodiscard]] Result<Routed> route(Interpreted what);
[[nodiscard]] Result<Ruled> rule(Routed where);
[[nodiscard]] net::Task<Result<Recorded>> record(Ruled ruled);
[[nodiscard]] net::Task<Result<Leased>> lease(Recorded recorded);
// The upstream answered 401 to the leased value: puts a renewed one, under a lease of its own, in
// its place. Errors: the vault's; then nothing has changed.
[[nodiscard]] net::Task<Result<void>> renew(Leased& leased);
// The aim is another: puts what is leased for that one in the place of what was. Errors: as above.
[[nodiscard]] net::Task<Result<void>> lease_again(Leased& leased);
// Clients of a model's provider send the same key in the provider's own header or, by their
// version, as a bearer token: both are places for it.
[[nodiscard]] bool takes_bearer_too(const ipc::ServiceSpec& service);
// The first placeholder of this Run that the request carries anywhere; null if none.
[[nodiscard]] const ipc::Placeholder* carried_placeholder(const Ruled& ruled);
// The alarm that a placeholder was sent where it is not bound to, and the refusal.
[[nodiscard]] Failure misuse(const Ruled& ruled, Intent& intent,
                             const ipc::Placeholder& placeholder);
// Settles the Intent on every path.
[[nodiscard]] net::Task<Result<void>> relay(Leased leased);

// All of it, and the error in the caller's dialect where a phase refuses. The caller outlives it.
[[nodiscard]] net::Task<void> serve_exchange(Gate& gate, Door& door, Caller& caller,
                                             std::unique_ptr<Decoded> request);

}  // namespace gatehouse::gateway
