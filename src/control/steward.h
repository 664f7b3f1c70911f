// SPDX-License-Identifier: Apache-2.0
// Steward: control's core. It tells the other roles what is in force, starts Runs and notes their
// end, and answers people at control's socket.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control/store.h"
#include "ipc/cli_control.h"
#include "ipc/role.h"
#include "ipc/sandbox.h"

namespace gatehouse::control {

class Steward {
 public:
  Steward(ipc::Role& role, StateStore& store);

  // What control serves to its peers and tells them when they come.
  void serve();
  // People at the socket: root, and the uid that owns the data directory.
  void listen(std::unique_ptr<net::Listener> listener, std::uint32_t owner_uid);

 private:
  using Started = std::pair<ipc::RunStarted, std::vector<net::Descriptor>>;
  net::Task<Result<Started>> start_run(ipc::StartRun request);
  net::Task<Result<ipc::Done>> sandbox_ended(ipc::SandboxEnded request);
  net::Task<Result<ipc::RunList>> list_runs(std::uint32_t most);
  net::Task<Result<ipc::ObjectList>> list_objects(std::string kind);
  net::Task<Result<ipc::ServiceInfo>> describe(ipc::DescribeService request);
  net::Task<void> furnish_vault(ipc::Channel* vault);
  net::Task<void> furnish_courier(ipc::Channel* courier);
  net::Task<void> furnish_gateway(ipc::Channel* gateway);
  net::Task<void> accept_people(std::unique_ptr<net::Listener> listener, std::uint32_t owner_uid);
  net::Task<Result<void>> note(const Run& run, bool ended, std::int32_t status);
  net::Task<void> finish(Run run, std::int32_t status);
  template <class Request>
  void forward(std::string to);

  ipc::Role& role_;
  StateStore& store_;
  std::uint64_t generation_ = 1;
  ipc::Permits people_;
  ipc::Permits sandboxd_;
  ipc::Permits nothing_;
  net::Nursery tasks_;
};

}  // namespace gatehouse::control
