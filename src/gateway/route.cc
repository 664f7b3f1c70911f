// SPDX-License-Identifier: Apache-2.0
// ROUTE and RULE: where it goes, and whether it may.
#include "gateway/exchange.h"

namespace gatehouse::gateway {

Result<Routed> route(Interpreted what) {
  Routed where(std::move(what));
  Aim& aim = where->aim;
  aim.path = where->path;
  aim.target = where->path + where->query;
  aim.service = where->service;
  if (const ipc::ServiceSpec* service = where->service; service != nullptr) {
    aim.destination = TRY(where->gate->upstreams.destination_of(*service));
    // A connection of HTTP/2 does not change its protocol.
    if (where->websocket) aim.destination.http2 = false;
    aim.target.insert(0, service->base_path);
    // What is not here as a whole cannot be made into a request for another model.
    if (const auto* llm = std::get_if<LlmCall>(&where->call); llm != nullptr && where->body) {
      where->model_route = Rulebook::model_route(*service, llm->request.model);
    }
    return where;
  }
  aim.destination = {
      where->request.host.ip() ? where->request.host.ip()->text() : where->request.host.text(),
      where->request.port,
      where->request.tls,
      "",
      false,
      !where->websocket};
  return where;
}

Result<Ruled> rule(Routed where) {
  Ruled ruled(std::move(where));
  ruled->ruling =
      ruled->rulebook->rule({&ruled->door->run, ruled->service, ruled->method(),
                             &ruled->request.host, ruled->request.port, ruled->path, &ruled->call,
                             ruled->endpoint ? &*ruled->endpoint : nullptr,
                             ruled->request.head.framing.kind != wire::BodyFraming::Kind::kNone});
  TRY(aim(*ruled));
  return ruled;
}

}  // namespace gatehouse::gateway
