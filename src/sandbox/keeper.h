// SPDX-License-Identifier: Apache-2.0
// Keeper: sandboxd's core. For each sandbox a warden; for the gateways a Door and for the
// supervisor the descriptors that stop it, both before the sandbox's first instruction. Wardens of
// an earlier sandboxd of this house are adopted.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/secret.h"
#include "ipc/control_gateway.h"
#include "ipc/role.h"
#include "ipc/sandbox.h"
#include "sandbox/plan.h"

namespace gatehouse::sandbox {

class Keeper {
 public:
  // `warden` and `init` are the executables' paths.
  Keeper(ipc::Role& role, HostPaths host, std::string warden, std::string init);
  ~Keeper();

  // What the supervisor gives, before anybody can ask for a sandbox: what its wardens know the
  // house by, in sealed memory, and the listener that they knock at when they have lost their
  // sandboxd.
  [[nodiscard]] Result<void> take_key(const net::Descriptor& memory);
  [[nodiscard]] Result<void> take_rendezvous(net::Descriptor listener);

  struct Created {
    ipc::SandboxCreated about;
    std::vector<net::Descriptor> fds;  // as ipc::SandboxCreated says
  };
  [[nodiscard]] net::Task<Result<Created>> create(ipc::CreateSandbox request);
  [[nodiscard]] net::Task<Result<ipc::Done>> end(RunId run);
  // Waits until the wardens of an earlier sandboxd have had their time to come.
  [[nodiscard]] net::Task<Result<ipc::SandboxList>> list();
  [[nodiscard]] ipc::CounterList counters() const;
  // A gateway that has come (again) gets its Doors.
  void offer_doors(const std::string& gateway);

 private:
  struct Offer;
  struct Sandbox;
  struct Message;
  net::Task<Result<Message>> receive(net::LocalStream* line, Deadline deadline);
  [[nodiscard]] Result<void> start_warden(Sandbox& sandbox);
  net::Task<Result<void>> register_brakes(const Sandbox& sandbox);
  net::Task<Result<void>> open_door(std::shared_ptr<const Offer> offer);
  net::Task<Result<void>> open_door_at(std::string gateway, std::shared_ptr<const Offer> offer);
  net::Task<void> offer_door(std::string gateway, RunId run);
  void keep(std::unique_ptr<Sandbox> sandbox);
  net::Task<void> watch(RunId run);
  net::Task<bool> tell_control(ipc::SandboxEnded ended, Deadline deadline);
  net::Task<void> clear_cgroups(RunId run);
  net::Task<void> close_door(std::string gateway, RunId run);
  void close_doors(RunId run);

  net::Task<void> welcome(std::unique_ptr<net::Listener> listener);
  net::Task<void> adopt_or_say(std::unique_ptr<net::LocalStream> line);
  net::Task<Result<void>> adopt(std::unique_ptr<net::LocalStream> line);
  net::Task<Result<void>> prove(net::LocalStream* line);
  net::Task<void> reopen(RunId run);

  ipc::Role& role_;
  HostPaths host_;
  std::string warden_;
  std::string init_;
  Secret house_key_;
  std::optional<Instant> listens_since_;  // for wardens
  std::map<RunId, std::unique_ptr<Sandbox>> sandboxes_;
  std::uint64_t asked_ = 0;  // for sandboxes, since this process began; of these:
  std::uint64_t made_ = 0;
  std::uint64_t adopted_ = 0;  // from an earlier sandboxd
  std::set<RunId> condemned_;  // told to end while their warden was not here
  net::Nursery tasks_;
};

}  // namespace gatehouse::sandbox
