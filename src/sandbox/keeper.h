// SPDX-License-Identifier: Apache-2.0
// Keeper: sandboxd's core. For each sandbox a warden; for the gateway a Door and for the supervisor
// the descriptors that stop it, both before the sandbox's first instruction.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ipc/role.h"
#include "ipc/sandbox.h"
#include "sandbox/plan.h"

namespace gatehouse::sandbox {

class Keeper {
 public:
  // `warden` and `init` are the executables' paths.
  Keeper(ipc::Role& role, HostPaths host, std::string warden, std::string init);
  ~Keeper();

  struct Created {
    ipc::SandboxCreated about;
    std::vector<net::Descriptor> fds;  // as ipc::SandboxCreated says
  };
  [[nodiscard]] net::Task<Result<Created>> create(ipc::CreateSandbox request);
  [[nodiscard]] net::Task<Result<ipc::Done>> end(RunId run);
  [[nodiscard]] std::vector<RunId> runs() const;
  // What this host cannot give a sandbox, tried with a cgroup of no one's.
  [[nodiscard]] static Result<ipc::HostLimits> host_limits();
  // A gateway that has come (again) gets its Doors.
  [[nodiscard]] net::Task<void> offer_doors(std::string gateway);

 private:
  struct Sandbox;
  class Share;
  net::Task<void> watch(RunId run);
  net::Task<void> watch_asker(RunId run);
  net::Task<Result<void>> open_door(const Sandbox& sandbox);
  // The gateway that has the fewest Doors. Errors: kUnavailable.
  [[nodiscard]] Result<std::string> least_busy_gateway() const;

  ipc::Role& role_;
  HostPaths host_;
  std::string warden_;
  std::string init_;
  std::map<std::string, std::size_t> doors_;  // by gateway
  std::map<RunId, std::unique_ptr<Sandbox>> sandboxes_;
  net::Nursery tasks_;
};

}  // namespace gatehouse::sandbox
