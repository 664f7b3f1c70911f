// SPDX-License-Identifier: Apache-2.0
// The gateway role: the gate.
#include "base/log.h"
#include "bin/role_main.h"
#include "gateway/gate.h"

int main(int argc, char** argv) {
  using namespace gatehouse;
  const bin::RoleFlags flags = bin::begin_role("gateway", argc, argv);
  bin::settle_role(flags, "");
  auto loop = net::make_real_loop();
  auto resolver = net::Resolver::make(*loop);
  if (!resolver) {
    log_error("the resolver", {{"why", resolver.error().message()}});
    return 70;
  }
  ipc::Role role(*loop);
  gateway::Gate gate(role, **resolver);
  gate.serve();
  ipc::Confinement plan;
  plan.uid = flags.uid;
  plan.no_landlock = flags.no_landlock;
  plan.network = ipc::Network::kOutboundAndAccept;
  plan.readable = {"/etc/resolv.conf", "/etc/hosts",   "/etc/nsswitch.conf",
                   "/etc/ssl",         "/usr/lib/ssl", "/usr/share/ca-certificates"};
  return bin::live(role, std::move(plan));
}
