// SPDX-License-Identifier: Apache-2.0
// The vault's network half: one POST of a form to one registered endpoint, one answer; and
// control's, for the public documents of issuers. It keeps nothing.
#pragma once

#include <map>
#include <string>

#include "egress/egress.h"
#include "ipc/channel.h"
#include "ipc/control_courier.h"
#include "ipc/control_gateway.h"

namespace gatehouse::courier {

class Courier {
 public:
  Courier(net::Loop& loop, net::Resolver& resolver) : loop_(loop), egress_(loop, resolver) {}

  [[nodiscard]] net::Task<Result<ipc::Done>> publish(ipc::PublishEndpoints request);
  // Never follows a redirect. Errors: kDenied (not registered, or at an address that it may not be
  // at), kUnreachable (surely not sent), kUpstream or kTimeout (may have been acted on).
  [[nodiscard]] net::Task<Result<ipc::Posted>> post(ipc::Post request);
  // A document for control: nothing that is registered is needed, for nothing secret goes there.
  // Never follows a redirect. Errors: as post().
  [[nodiscard]] net::Task<Result<ipc::Fetched>> fetch(ipc::Fetch request);

  // Of posts, by how they ended.
  [[nodiscard]] ipc::CounterList counters() const;

 private:
  net::Task<Result<ipc::Posted>> post_once(ipc::Post request);
  net::Task<Result<std::unique_ptr<net::Stream>>> dial(const ipc::RegisteredEndpoint& endpoint,
                                                       Deadline deadline);

  net::Loop& loop_;
  egress::Dialer egress_;
  std::uint64_t answered_ = 0;
  std::map<std::string_view, std::uint64_t> failed_;          // by the label of the error
  std::map<std::string, ipc::RegisteredEndpoint> endpoints_;  // by URL
};

}  // namespace gatehouse::courier
