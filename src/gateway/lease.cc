// SPDX-License-Identifier: Apache-2.0
// LEASE: the placeholder is found, its binding checked, and the value it stands for leased for this
// one Exchange.
#include <fmt/format.h>

#include "gateway/exchange.h"
#include "gateway/record.h"
#include "gateway/signing.h"
#include "ipc/gateway_vault.h"
#include "wire/sigv4.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr Nanos kLeaseMost = std::chrono::seconds(25);  // a refresh may be under way

constexpr std::string_view kBearerHeader = "authorization";

// The header that this request has its credential in. The Service's own, where both have one.
std::string_view header_of_credential(const Ruled& ruled) {
  if (ruled->service == nullptr) return "";
  const std::string_view own = ruled->service->credential_header;
  if (!takes_bearer_too(*ruled->service)) return own;
  const wire::Headers& headers = ruled->request.head.headers;
  const auto in_own = headers.find(own);
  if (in_own && ruled->door->placeholder_in(*in_own) != nullptr) return own;
  const auto bearer = headers.find(kBearerHeader);
  return bearer && ruled->door->placeholder_in(*bearer) != nullptr ? kBearerHeader : own;
}

// A placeholder that is not of this Run, or a credential's header of which only one of several
// would be looked at.
std::optional<Error> doubtful(const Ruled& ruled, std::string_view wanted) {
  const auto foreign = [] {
    return Error(Error::kDenied,
                 "the request holds a placeholder that is not of this run; it is worth nothing, "
                 "and this is recorded as an alarm");
  };
  int credentials = 0;
  for (const wire::Header header : ruled->request.head.headers) {
    if (ruled->door->holds_foreign(header.value)) return foreign();
    const bool is_credential = !wanted.empty() && wire::equal_ignoring_case(header.name, wanted);
    if (is_credential && ++credentials > 1) {
      return Error(Error::kInvalid, fmt::format("the header {} came more than once", wanted));
    }
  }
  // Not in the body: what an agent remembers of an earlier run may hold that run's, and is worth
  // nothing any more.
  if (ruled->door->holds_foreign(ruled->request.head.target)) return foreign();
  return std::nullopt;
}

// In every place of the request but the header that the Service wants its credential in.
const ipc::Placeholder* misplaced(const Ruled& ruled, std::string_view credential_header) {
  for (const wire::Header header : ruled->request.head.headers) {
    if (wire::equal_ignoring_case(header.name, credential_header)) continue;
    if (const auto* found = ruled->door->placeholder_in(header.value)) return found;
  }
  if (const auto* found = ruled->door->placeholder_in(ruled->request.head.target)) return found;
  return ruled->placeholder_in_body();
}

// An Exchange that carries no credential, with a host that others carry one to: the answer may hold
// what an earlier one left there, through this gateway or another.
Task<Result<void>> learn_known(Leased& leased) {
  const Ruled& ruled = leased;
  const Destination& to = ruled->aim.destination;
  const std::string& tenant = ruled->door->run.tenant;
  if (ruled->door->placeholders.empty()
      || !ruled->rulebook->sends_credentials_to(tenant, to.host)) {
    co_return Result<void>();
  }
  Gate& gate = *ruled->gate;
  auto known = co_await gate.role.call("vault", ipc::Known{ruled->door->run.run, to.host},
                                       gate.loop.in(kLeaseMost));
  if (!known) {
    // While the vault is away, no answer comes from where a credential may have been left; another
    // port of that host is another server.
    if (ruled->rulebook->sends_credentials_to(tenant, to.host, to.port)) {
      co_return Failure(known.error());
    }
    co_return Result<void>();
  }
  leased.lent().known = std::move(known->values);
  co_return Result<void>();
}

// Puts what the vault lends for where the request is aimed at in its place; `rejected` is the lease
// of which the upstream did not take the value.
Task<Result<void>> renewed(Leased& leased, LeaseId rejected) {
  const Ruled& ruled = leased;
  const ipc::ServiceSpec& to = *ruled->aim.service;
  ipc::Lease ask;
  ask.run = ruled->door->run.run;
  ask.exchange = ruled->exchange;
  ask.service = to.name;
  ask.host = to.host;
  ask.method = ruled->request.head.method;
  ask.path = ruled->aim.path;
  ask.rejected = rejected;
  Gate& gate = *ruled->gate;
  std::string signed_at;
  if (to.signs) {
    signed_at = wire::sigv4_date(gate.loop.wall().unix_seconds());
    ask.to_sign = CO_TRY(canonical_request(ruled, signed_at));
  }
  ipc::Leased granted =
      CO_TRY(co_await gate.role.call("vault", std::move(ask), gate.loop.in(kLeaseMost)));
  leased.lent().lease = granted.lease;
  leased.lent().value = std::move(granted.value);
  leased.lent().renewable = granted.renewable;
  leased.lent().known = std::move(granted.known);
  leased.lent().signed_at = std::move(signed_at);
  leased.intent().tag("lease", granted.lease.text());
  co_return Result<void>();
}

}  // namespace

bool takes_bearer_too(const ipc::ServiceSpec& service) {
  return provider_of(service.kind) && !service.credential_header.empty()
         && service.credential_header != kBearerHeader;
}

const ipc::Placeholder* carried_placeholder(const Ruled& ruled) {
  if (const ipc::Placeholder* found = ruled->door->placeholder_in(ruled->request.head))
    return found;
  return ruled->placeholder_in_body();
}

Failure misuse(const Ruled& ruled, Intent& intent, const ipc::Placeholder& placeholder) {
  ++ruled->gate->counters.alarms;
  intent.raise_alarm("placeholder-misused");
  ruled->caller->refused_by = kPlaceholderBinding;
  const bool bound = ruled->service != nullptr && ruled->service->name == placeholder.service;
  return failure(
      Error::kDenied,
      fmt::format("the placeholder of service {} was sent {}: it is bound to that service's host "
                  "and header, and this is recorded as an alarm",
                  placeholder.service,
                  bound ? "in another place than its header" : "to " + ruled->request.host.text()));
}

namespace {

Task<Result<void>> lend(Leased& leased) {
  const Ruled& ruled = leased;
  const ipc::ServiceSpec* service = ruled->service;
  const std::string_view wanted = header_of_credential(ruled);
  if (const auto refused = doubtful(ruled, wanted); refused) {
    ruled->caller->refused_by = kPlaceholderBinding;
    if (*refused == Error::kDenied) {
      ++ruled->gate->counters.alarms;
      leased.intent().raise_alarm("placeholder-of-another-run");
    }
    co_return Failure(*refused);
  }
  leased.lent().header = wanted;
  if (const ipc::Placeholder* found = misplaced(ruled, wanted)) {
    co_return misuse(ruled, leased.intent(), *found);
  }
  if (wanted.empty()) {
    CO_TRY(co_await learn_known(leased));
    co_return Result<void>();
  }
  for (const wire::Header header : ruled->request.head.headers) {
    if (!wire::equal_ignoring_case(header.name, wanted)) continue;
    for (const ipc::Placeholder& placeholder : ruled->door->placeholders) {
      if (!holds(header.value, placeholder)) continue;
      if (placeholder.service != service->name) {
        co_return misuse(ruled, leased.intent(), placeholder);
      }
      leased.lent().placeholder = placeholder.text;
    }
  }
  if (const Result<void> granted = co_await lease_again(leased); !granted) {  // the first, too
    if (!leased.lent().placeholder.empty()) ruled->caller->refused_by = "lease";
    co_return Failure(granted.error());
  }
  co_return Result<void>();
}

}  // namespace

Task<Result<Leased>> lease(Recorded recorded) {
  Leased leased(std::move(recorded));
  const Result<void> lent = co_await lend(leased);
  if (lent) co_return leased;
  leased.intent().fail(lent.error());
  co_return Failure(lent.error());
}

// The placeholder that was shown is the one of the Service that the agent named. A target of that
// Service's model route gets a credential of its own for it, if the agent's rules let it go there:
// both the Ruling and the vault have to say so.
Task<Result<void>> lease_again(Leased& leased) {
  const ipc::ServiceSpec* to = leased->aim.service;
  const bool carries_one =
      !leased.lent().placeholder.empty() && to != nullptr && !to->credential_header.empty();
  if (carries_one) co_return co_await renewed(leased, ipc::no_lease());
  std::vector<Secret> before = std::exchange(leased.lent().known, {});  // of another host
  if (const Result<void> learnt = co_await learn_known(leased); !learnt) {
    leased.lent().known = std::move(before);
    co_return Failure(learnt.error());
  }
  leased.lent().lease = ipc::no_lease();
  leased.lent().value = Secret();
  leased.lent().renewable = false;
  leased.lent().signed_at.clear();
  co_return Result<void>();
}

Task<Result<void>> renew(Leased& leased) { return renewed(leased, leased.lent().lease); }

}  // namespace gatehouse::gateway
