// SPDX-License-Identifier: Apache-2.0
// The vault role: the keys. It has no network at all.
#include "audit/breach.h"
#include "base/log.h"
#include "bin/role_main.h"
#include "vault/role_ports.h"
#include "vault/root_key.h"

namespace gatehouse::bin {
namespace {

int run(int argc, char** argv) {
  const RoleFlags flags = begin_role("vault", argc, argv);
  settle_role(flags, "vault");
  auto key = vault::load_or_make_key(".");
  if (!key) {
    log_error("the vault's key", {{"why", key.error().message()}});
    return 78;
  }
  const vault::Sealer sealer(std::move(*key));
  auto files = net::open_file_system(".");
  if (!files) {
    log_error("the vault's directory", {{"why", files.error().message()}});
    return 78;
  }
  auto store = vault::Store::open(**files, sealer);
  if (!store) {
    log_error("the vault's store", {{"why", store.error().message()}});
    return 78;
  }
  auto loop = net::make_real_loop();
  ipc::Role role(*loop);
  const audit::Breaches breaches(role, "vault");
  vault::RolePorts ports(role);
  vault::Service service(*loop, **store, sealer, ports);
  if (const Result<void> opened = service.open_inbox(); !opened) {
    log_error("the vault's inbox key", {{"why", opened.error().message()}});
    return 78;
  }
  ports.serve(service);
  ipc::Confinement plan = confinement_of(flags);
  plan.writable = {"."};
  return live(role, std::move(plan));
}

}  // namespace
}  // namespace gatehouse::bin

int main(int argc, char** argv) { return gatehouse::bin::run(argc, argv); }
