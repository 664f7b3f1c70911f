// SPDX-License-Identifier: Apache-2.0
// LEASE: the placeholder is found, its binding checked, and the value it stands for leased for this
// one Exchange.
#include <fmt/format.h>

#include "base/encoding.h"
#include "base/log.h"
#include "gateway/exchange.h"
#include "ipc/gateway_vault.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr Nanos kLeaseMost = std::chrono::seconds(25);  // a refresh may be under way

// Whether the text holds the placeholder as it is, percent-encoded, or inside a Basic credential.
bool holds(std::string_view text, const std::string& placeholder) {
  if (text.contains(placeholder)) return true;
  if (text.size() > 6 && wire::equal_ignoring_case(text.substr(0, 6), "basic ")) {
    const auto decoded = from_base64(wire::trimmed(text.substr(6)));
    if (decoded && decoded->contains(placeholder)) return true;
  }
  if (text.contains('%')) {
    const auto decoded = percent_decoded(text);
    if (decoded && decoded->contains(placeholder)) return true;
  }
  return false;
}

bool request_holds(const Ruled& ruled, const std::string& placeholder) {
  for (const wire::Header header : ruled.request.head.headers) {
    if (holds(header.value, placeholder)) return true;
  }
  return holds(ruled.request.head.target, placeholder)
         || (ruled.body && ruled.body->contains(placeholder));
}

}  // namespace

const ipc::Placeholder* carried_placeholder(const Ruled& ruled) {
  for (const ipc::Placeholder& placeholder : ruled.door->placeholders) {
    if (request_holds(ruled, placeholder.text)) return &placeholder;
  }
  return nullptr;
}

Task<Result<Leased>> lease(Recorded recorded) {
  Leased leased(std::move(recorded));
  const Ruled& ruled = leased.recorded.ruled;
  const ipc::ServiceSpec* service = ruled.service;
  const bool wants = service != nullptr && !service->credential_header.empty();
  for (const ipc::Placeholder& placeholder : ruled.door->placeholders) {
    if (!request_holds(ruled, placeholder.text)) continue;
    const bool bound = wants && service->name == placeholder.service;
    const auto header =
        wants ? ruled.request.head.headers.find(service->credential_header) : std::nullopt;
    if (!bound || !header || !holds(*header, placeholder.text)) {
      leased.recorded.intent.raise_alarm("placeholder-misused");
      co_return failure(
          Error::kDenied,
          fmt::format(
              "the placeholder of service {} was sent {}: it is bound to that service's host "
              "and header, and this is recorded as an alarm",
              placeholder.service,
              bound ? "in another place than its header" : "to " + ruled.request.host.text()));
    }
    leased.placeholder = placeholder.text;
  }
  if (!leased.placeholder.empty()) CO_TRY(co_await renew(leased));  // the first one, too
  co_return leased;
}

Task<Result<void>> renew(Leased& leased) {
  const Ruled& ruled = leased.recorded.ruled;
  ipc::Lease ask;
  ask.run = ruled.door->run.run;
  ask.exchange = ruled.exchange;
  ask.service = ruled.service->name;
  ask.host = ruled.service->host;
  ask.method = ruled.request.head.method;
  ask.path = ruled.path;
  ask.rejected = leased.lease;
  Gate& gate = *ruled.gate;
  ipc::Leased granted =
      CO_TRY(co_await gate.role.call("vault", std::move(ask), gate.loop.in(kLeaseMost)));
  leased.lease = granted.lease;
  leased.value = std::move(granted.value);
  leased.renewable = granted.renewable;
  leased.recorded.intent.tag("lease", granted.lease.text());
  co_return Result<void>();
}

}  // namespace gatehouse::gateway
