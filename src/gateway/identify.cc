// SPDX-License-Identifier: Apache-2.0
// IDENTIFY: who calls. The Door's descriptor says so; what the request says of itself is only kept
// as a link.
#include "gateway/exchange.h"
#include "wire/path.h"
#include "wire/trace.h"

namespace gatehouse::gateway {
namespace {

// Several fields are one list; what is malformed is dropped.
std::string state_of(const wire::Headers& headers) {
  std::string all;
  for (const wire::Header header : headers) {
    if (!wire::equal_ignoring_case(header.name, "tracestate")) continue;
    all.append(header.value).append(",");
  }
  return wire::parse_tracestate(all).value_or("");
}

}  // namespace

Result<Identified> identify(Gate& gate, Door& door, Caller& caller, Decoded& request) {
  if (gate.is_killed(door.run.run)) {
    return failure(Error::kKilled, "the run " + door.run.run.text()
                                       + " is killed; only a person with that right can revive it");
  }
  Identified who(std::make_unique<Exchange>(gate, door));
  who->caller = &caller;
  who->began = gate.loop.now();
  const std::string_view whole = request.head.path_and_query();
  const std::size_t query = std::min(whole.find('?'), whole.size());
  who->path = TRY(wire::canonical_path(whole.substr(0, query)));
  who->query = whole.substr(query);
  if (const auto parent = request.head.headers.find("traceparent")) {
    const auto parsed = wire::TraceParent::parse(*parent);
    if (parsed && parsed->trace != door.run.trace) who->linked_trace = *parent;
    if (parsed && parsed->trace == door.run.trace) {
      who->tracestate = state_of(request.head.headers);
      who->parent = parsed->parent;
    }
  }
  who->request = std::move(request);
  return who;
}

}  // namespace gatehouse::gateway
