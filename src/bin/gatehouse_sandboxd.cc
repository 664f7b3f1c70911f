// SPDX-License-Identifier: Apache-2.0
// The sandboxd role: the cells. It has privilege to build sandboxes, and no network.
#include <signal.h>

#include <charconv>
#include <fstream>
#include <sstream>

#include "audit/breach.h"
#include "base/log.h"
#include "bin/role_main.h"
#include "sandbox/keeper.h"

namespace gatehouse::bin {
namespace {

using net::Task;
using Reply = std::pair<ipc::SandboxCreated, std::vector<net::Descriptor>>;

Task<Result<Reply>> create(sandbox::Keeper* keeper, ipc::CreateSandbox request) {
  auto created = CO_TRY(co_await keeper->create(std::move(request)));
  co_return Reply(std::move(created.about), std::move(created.fds));
}

Task<Result<ipc::CounterList>> counters(const sandbox::Keeper* keeper) {
  co_return keeper->counters();
}

std::string read_all(const char* path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// What the house's start has found this host to give to sandboxes.
Result<void> read_host(int argc, char** argv, sandbox::HostPaths& host) {
  host.cgroups = flag_of(argc, argv, "--cgroups");
  host.limits_best_effort = flag_of(argc, argv, "--limits") == "best-effort";
  for (const auto& [name, value] :
       {std::pair("--first-uid", &host.first_uid), std::pair("--uids", &host.uids)}) {
    const std::string_view text = flag_of(argc, argv, name);
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), *value);
    if (parsed.ec != std::errc()) {
      return failure(Error::kInvalid, std::string(name) + " is no number");
    }
  }
  if (host.uids == 0) return failure(Error::kInvalid, "there is no uid for a sandbox");
  return {};
}

int run(int argc, char** argv) {
  const RoleFlags flags = begin_role("sandboxd", argc, argv);
  signal(SIGCHLD, SIG_IGN);  // a warden's end is heard on its line; the kernel buries it
  settle_role(flags, "");
  const auto executables = own_directory();
  if (!executables) {
    log_error("this executable's place", {{"why", executables.error().message()}});
    return 70;
  }
  auto loop = net::make_real_loop();
  ipc::Role role(*loop);
  const audit::Breaches breaches(role, "sandboxd");
  sandbox::HostPaths host{flags.data + "/volumes", read_all("/etc/ssl/certs/ca-certificates.crt"),
                          flags.data + "/run/" + std::string(ipc::kWardensSocket)};
  host.no_landlock = flags.no_landlock;
  if (const Result<void> read = read_host(argc, argv, host); !read) {
    log_error("its flags", {{"why", read.error().message()}});
    return 64;
  }
  const ipc::RootOf root = host.first_uid == 0 ? ipc::RootOf::kUser : ipc::RootOf::kRange;
  sandbox::Keeper keeper(role, std::move(host), *executables + "/gatehouse-warden",
                         *executables + "/gatehouse-init");
  ipc::Permits control;
  const ipc::Permits nothing;
  control.on_with_fds<ipc::CreateSandbox>(
      [&keeper](ipc::CreateSandbox request, std::vector<net::Descriptor>) {
        return create(&keeper, std::move(request));
      });
  control.on<ipc::EndSandbox>([&keeper](ipc::EndSandbox request, std::vector<net::Descriptor>) {
    return keeper.end(request.run);
  });
  control.on<ipc::ListSandboxes>(
      [&keeper](ipc::ListSandboxes, std::vector<net::Descriptor>) { return keeper.list(); });
  control.on<ipc::GetCounters>(
      [&keeper](ipc::GetCounters, std::vector<net::Descriptor>) { return counters(&keeper); });
  role.on_descriptor("house-key", [&keeper](net::Descriptor memory) {
    if (const auto taken = keeper.take_key(memory); !taken) {
      log_error("no sandbox can be made", {{"why", taken.error().message()}});
    }
  });
  role.on_descriptor("wardens", [&keeper](net::Descriptor listener) {
    if (const auto taken = keeper.take_rendezvous(std::move(listener)); !taken) {
      log_error("no warden can come back", {{"why", taken.error().message()}});
    }
  });
  role.serve("control", control);
  role.serve("gateway", nothing);
  role.serve("vault", nothing);
  role.serve("audit", nothing);
  role.on_peer("gateway", [&keeper](ipc::Channel& arrived) { keeper.offer_doors(arrived.peer()); });
  return live_as_builder(role, root);
}

}  // namespace
}  // namespace gatehouse::bin

int main(int argc, char** argv) { return gatehouse::bin::run(argc, argv); }
