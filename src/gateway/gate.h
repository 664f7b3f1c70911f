// SPDX-License-Identifier: Apache-2.0
// Gate: one gateway process, of one thread. Everything here belongs to its Loop.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "gateway/attach.h"
#include "gateway/attempts.h"
#include "gateway/client.h"
#include "gateway/concurrency.h"
#include "gateway/conversations.h"
#include "gateway/door.h"
#include "gateway/intercept.h"
#include "gateway/model_counters.h"
#include "gateway/recorder.h"
#include "gateway/room.h"
#include "gateway/rulebook.h"
#include "gateway/upstream.h"
#include "ipc/control_gateway.h"
#include "ipc/histogram.h"
#include "ipc/kill_table.h"
#include "ipc/ring_offers.h"
#include "ipc/role.h"

namespace gatehouse::gateway {

// What this gateway has counted since it began.
struct Counters {
  std::uint64_t connections = 0;
  std::uint64_t exchanges = 0;
  std::uint64_t malformed = 0;  // requests that could not be read as HTTP
  std::uint64_t cut_by_kill = 0;
  std::uint64_t client_left = 0;
  std::uint64_t names_refused = 0;
  std::uint64_t alarms = 0;
  std::uint64_t busy = 0;  // refused at a Service's bound
  // Of model routes.
  std::uint64_t routed = 0;
  std::uint64_t route_retries = 0;
  std::uint64_t route_retries_refused = 0;  // by a route's budget
  std::uint64_t targets_set_aside = 0;
  ModelCounters models;
  // That are now.
  std::uint64_t live_exchanges = 0;
  std::uint64_t live_streams = 0;  // answers that are event streams
  ipc::Histogram exchange_time;
  ipc::Histogram own_time;       // the gateway's own, until an answer's head left
  ipc::Histogram upstream_time;  // from the dialling to the answer's head
  ipc::Histogram llm_first_chunk_time;
  ipc::Histogram llm_first_token_time;
  std::map<std::string_view, std::uint64_t> refused;  // by the label of the error (base/result.h)

  void refuse(Error::Code code) { ++refused[row_of(code).label]; }
  [[nodiscard]] ipc::CounterList list() const;
};

// Of bodies, in memory, at a time, for all Runs of a gateway.
inline constexpr std::size_t kBodiesMost = std::size_t{256} * 1024 * 1024;

class Listed;

class Gate {
 public:
  Gate(ipc::Role& role, net::Resolver& resolver);
  ~Gate();

  // Wires the role's messages (Doors, Snapshots, the kill table) to this.
  void serve();

  net::Loop& loop;
  ipc::Role& role;
  Upstreams upstreams;
  Interceptor interceptor;
  Concurrency concurrency;
  AttemptMemory attempts;
  Conversations conversations;
  Recorder recorder;  // takes nothing until the audit role took its ring: nothing passes
  std::shared_ptr<const Rulebook> rulebook;  // null until the first Snapshot: everything is denied
  std::unique_ptr<ipc::KillTableReader> kills;  // null until it came: everything is killed
  Counters counters;
  Room bodies{kBodiesMost};

  [[nodiscard]] bool is_killed(const RunId& run) const { return !kills || kills->is_killed(run); }
  // That are open now.
  [[nodiscard]] std::size_t connections() const { return connections_.size(); }
  [[nodiscard]] Attach& attach() { return attach_; }
  // The Door of a Run without a sandbox; null for any other Run.
  [[nodiscard]] Door* attached_door(const RunId& run);
  // Serves a connection as one of that Door, as long as both last. Of too many, or where
  // descriptors run out, it is told so (503) and ended.
  void serve_at(Door& door, std::unique_ptr<Client> client, Entrance entrance);
  // Whether that Door may have no further connection now, and what who wants one is told.
  [[nodiscard]] bool is_full(const Door& door) const;
  [[nodiscard]] static Error full();
  // Runs what `serve` makes of a place in the list as one of that Door's connections, as long as
  // both last.
  void serve_as_connection(Door& door, const std::function<net::Task<void>(Listed)>& serve);
  // Ends that connection at the Loop's next turn, if it is still there. For a watcher that cannot
  // end its owner itself.
  void cancel_soon(Door& door, std::uint64_t connection);
  // Tells the vault that a Lease has ended, without waiting for its answer.
  void end_lease_soon(LeaseId lease);

 private:
  friend class Listed;
  struct OpenConnection {
    Door* door = nullptr;
    net::Nursery::Child* task = nullptr;
  };
  net::Task<Result<ipc::Done>> open_door(ipc::OpenDoor request, std::vector<net::Descriptor> fds);
  net::Task<Result<ipc::Done>> close_door(RunId run);
  void drop_door(const RunId& run);
  void serve_control();
  net::Task<Result<ipc::Done>> open_attachment(ipc::OpenAttachment request);
  net::Task<Result<ipc::Done>> close_attachment(RunId run);
  net::Task<Result<ipc::Done>> keep_attachments(std::vector<RunId> runs);
  net::Task<Result<ipc::Done>> take_credentials(ipc::UseProxyCredentials request);
  net::Task<Result<ipc::Done>> take_identity(ipc::UseClientIdentity request);
  net::Task<Result<ipc::Done>> take_snapshot(std::uint64_t generation,
                                             std::vector<net::Descriptor> fds);
  void turn_away(Door& door, std::unique_ptr<Client> client, Entrance entrance);
  net::Task<void> accept_all(Door* door, net::Listener* listener, Entrance entrance);
  net::Task<void> watch_kills();
  net::Task<void> end_leases();
  void cut_killed();
  net::Task<Result<ipc::CounterList>> tell_counters();

  ipc::Permits for_sandboxd_;
  ipc::Permits for_control_;
  ipc::Permits nothing_;
  net::Descriptor kill_wake_;
  std::map<std::uint64_t, OpenConnection> connections_;
  std::uint64_t next_connection_ = 1;
  ipc::RingOffers ring_offers_;
  std::vector<LeaseId> ended_leases_;  // that the vault has not been told of
  net::Nursery tasks_;
  std::map<RunId, std::unique_ptr<Door>> doors_;  // their tasks use all the rest
  Attach attach_;                                 // and this hands connections to them
};

// A connection's place in its Gate's list. It travels in the connection's task, so that it is given
// back on every path, also when the task is cancelled before its first turn.
class Listed {
 public:
  Listed(Gate& gate, Door& door);
  Listed(Listed&& other) noexcept
      : gate_(std::exchange(other.gate_, nullptr)), door_(other.door_), id_(other.id_) {}
  Listed& operator=(Listed&&) = delete;
  ~Listed();
  [[nodiscard]] std::uint64_t id() const { return id_; }

 private:
  Gate* gate_;
  Door* door_;
  std::uint64_t id_;
};

}  // namespace gatehouse::gateway
