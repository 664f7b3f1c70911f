// SPDX-License-Identifier: Apache-2.0
// The gateway role: the gate.
#include <sys/signalfd.h>

#include <csignal>

#include "base/log.h"
#include "bin/role_main.h"
#include "gateway/gate.h"

namespace gatehouse {
namespace {

// A gateway that is told to stop tells its agents so, where HTTP/2 has a word for it.
net::Task<void> end_when_told(net::Loop* loop, int signals) {
  if (co_await loop->wait_readable(signals, Deadline::never())) loop->stop();
}

net::Descriptor signals_to_stop() {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  sigprocmask(SIG_BLOCK, &wanted, nullptr);
  return net::Descriptor(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
}

}  // namespace
}  // namespace gatehouse

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
  const net::Descriptor signals = signals_to_stop();
  net::Nursery ending(*loop);
  ending.spawn(end_when_told(loop.get(), signals.get()));
  return bin::live(role, bin::dialling(flags, ipc::Network::kOutboundAndAccept));
}
