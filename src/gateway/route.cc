// SPDX-License-Identifier: Apache-2.0
// ROUTE and RULE: where it goes, and whether it may.
#include "gateway/exchange.h"

namespace gatehouse::gateway {

Result<Routed> route(Interpreted what) {
  Routed where(std::move(what));
  if (const ipc::ServiceSpec* service = where->service; service != nullptr) {
    where->destination = TRY(where->gate->upstreams.destination_of(*service));
    // A connection of HTTP/2 does not change its protocol.
    if (where->websocket) where->destination.http2 = false;
    where->target = service->base_path + where->path + where->query;
    return where;
  }
  where->destination = {
      where->request.host.ip() ? where->request.host.ip()->text() : where->request.host.text(),
      where->request.port,
      where->request.tls,
      "",
      false,
      !where->websocket};
  where->target = where->path + where->query;
  return where;
}

Ruled rule(Routed where) {
  Ruled ruled(std::move(where));
  ruled->ruling =
      ruled->rulebook->rule({&ruled->door->run, ruled->service, ruled->method(),
                             &ruled->request.host, ruled->request.port, ruled->path, &ruled->call,
                             ruled->endpoint ? &*ruled->endpoint : nullptr,
                             ruled->request.head.framing.kind != wire::BodyFraming::Kind::kNone});
  return ruled;
}

}  // namespace gatehouse::gateway
