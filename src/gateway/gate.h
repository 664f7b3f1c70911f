// SPDX-License-Identifier: Apache-2.0
// Gate: one gateway thread. Everything here belongs to its Loop and is never shared.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>

#include "gateway/door.h"
#include "gateway/intercept.h"
#include "gateway/recorder.h"
#include "gateway/rulebook.h"
#include "gateway/upstream.h"
#include "ipc/kill_table.h"
#include "ipc/role.h"

namespace gatehouse::gateway {

struct Counters {
  std::uint64_t connections = 0;
  std::uint64_t exchanges = 0;
  std::uint64_t refused = 0;
  std::uint64_t malformed = 0;
  std::uint64_t cut_by_kill = 0;
  std::uint64_t client_left = 0;
  std::uint64_t names_refused = 0;
};

class Gate {
 public:
  Gate(ipc::Role& role, net::Resolver& resolver);
  ~Gate();

  // Wires the role's messages (Doors, Snapshots, the kill table) to this.
  void serve();

  net::RealLoop& loop;
  ipc::Role& role;
  Upstreams upstreams;
  Interceptor interceptor;
  std::unique_ptr<Recorder> recorder;  // null until the audit role took the ring: nothing passes
  std::shared_ptr<const Rulebook> rulebook;  // null until the first Snapshot: everything is denied
  std::unique_ptr<ipc::KillTableReader> kills;  // null until it came: everything is killed
  Counters counters;

  [[nodiscard]] bool is_killed(const RunId& run) const { return !kills || kills->is_killed(run); }
  // Ends that connection at the Loop's next turn, if it is still there. For a watcher that cannot
  // end its owner itself.
  void cancel_soon(Door& door, std::uint64_t connection);
  // Tells the vault that a Lease has ended, without waiting for its answer.
  void end_lease_soon(LeaseId lease);
  struct OpenConnection {
    Door* door = nullptr;
    net::Nursery::Child* task = nullptr;
  };
  std::map<std::uint64_t, OpenConnection> connections;
  std::uint64_t next_connection = 1;

 private:
  net::Task<Result<ipc::Done>> open_door(ipc::OpenDoor request, std::vector<net::Descriptor> fds);
  net::Task<Result<ipc::Done>> close_door(RunId run);
  net::Task<Result<ipc::Done>> take_snapshot(std::uint64_t generation,
                                             std::vector<net::Descriptor> fds);
  net::Task<void> accept_all(Door* door, net::Listener* listener, Entrance entrance);
  net::Task<void> watch_kills();
  net::Task<void> offer_ring(ipc::Channel* audit);
  void cut_killed();

  ipc::Permits for_sandboxd_;
  ipc::Permits for_control_;
  ipc::Permits nothing_;
  net::Descriptor kill_wake_;
  std::vector<std::unique_ptr<Recorder>> retired_;
  net::Nursery tasks_;
  std::map<RunId, std::unique_ptr<Door>> doors_;  // last: their tasks use all the rest
};

}  // namespace gatehouse::gateway
