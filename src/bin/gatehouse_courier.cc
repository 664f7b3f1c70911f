// SPDX-License-Identifier: Apache-2.0
// The courier role: the network half of the vault and of control.
#include "base/log.h"
#include "bin/role_main.h"
#include "courier/courier.h"

namespace {

gatehouse::net::Task<gatehouse::Result<gatehouse::ipc::CounterList>> tell(
    const gatehouse::courier::Courier* courier) {
  co_return courier->counters();
}

}  // namespace

int main(int argc, char** argv) {
  using namespace gatehouse;
  const bin::RoleFlags flags = bin::begin_role("courier", argc, argv);
  bin::settle_role(flags, "");
  auto loop = net::make_real_loop();
  auto resolver = net::Resolver::make(*loop);
  if (!resolver) {
    log_error("the resolver", {{"why", resolver.error().message()}});
    return 70;
  }
  ipc::Role role(*loop);
  courier::Courier courier(*loop, **resolver);
  ipc::Permits vault;
  ipc::Permits control;
  vault.on<ipc::Post>([&courier](ipc::Post request, std::vector<net::Descriptor>) {
    return courier.post(std::move(request));
  });
  control.on<ipc::PublishEndpoints>(
      [&courier](ipc::PublishEndpoints request, std::vector<net::Descriptor>) {
        return courier.publish(std::move(request));
      });
  control.on<ipc::Fetch>([&courier](ipc::Fetch request, std::vector<net::Descriptor>) {
    return courier.fetch(std::move(request));
  });
  control.on<ipc::GetCounters>(
      [&courier](ipc::GetCounters, std::vector<net::Descriptor>) { return tell(&courier); });
  role.serve("vault", vault);
  role.serve("control", control);
  return bin::live(role, bin::dialling(flags, ipc::Network::kOutbound));
}
