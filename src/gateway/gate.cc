// SPDX-License-Identifier: Apache-2.0
#include "gateway/gate.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "audit/breach.h"
#include "base/log.h"
#include "gateway/connection.h"
#include "gateway/names.h"
#include "gateway/refusal.h"
#include "ipc/any_audit.h"
#include "ipc/control_gateway.h"
#include "ipc/counters.h"
#include "ipc/gateway_vault.h"
#include "wire/run_token.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr std::size_t kDoorDescriptors = 4;
constexpr std::uint64_t kConnectionsMost = 512;  // open at once through one Door
constexpr std::int64_t kSnapshotMost = 64 * 1024 * 1024;
constexpr Nanos kLeasesEndAfter = 1ms;       // so that they end together, and after what is urgent
constexpr std::size_t kTurnedAwayMost = 16;  // told so at the same time, through one Door
constexpr Nanos kTurnAwayMost = 2s;
// Of the descriptors that this process may have, this part, and not more than so many, is for other
// things than connections; of an agent's there are two, with its upstream's.
constexpr std::uint64_t kDescriptorsKeptPart = 4;
constexpr std::uint64_t kDescriptorsKeptMost = 128;
constexpr std::uint64_t kDescriptorsOfOne = 2;

// Tells a client that does not get in, and waits until it has heard it.
Task<void> say_full(net::Loop& loop, Door& door, std::unique_ptr<Client> client) {
  const std::string answer =
      response_of({Gate::full(), ipc::ServiceKind::kHttp, "", "", door.headers()});
  const Deadline deadline = loop.in(kTurnAwayMost);
  if (!co_await client->stream->write(answer, deadline)) co_return;
  if (!co_await client->stream->finish(deadline)) co_return;
  // What it sends is read, or the close would be a reset that destroys the answer.
  while ((co_await client->inbox.fill(deadline)).value_or(false)) {
    client->inbox.take(client->inbox.waiting().size());
  }
}

Task<void> told(Task<Result<ipc::Done>> telling) { (void)co_await std::move(telling); }

}  // namespace

Gate::Gate(ipc::Role& owner, net::Resolver& resolver)
    : loop(owner.loop()),
      role(owner),
      upstreams(owner.loop(), resolver),
      interceptor(owner),
      recorder(owner.loop()),
      ring_offers_(owner),
      tasks_(owner.loop()),
      attach_(*this) {}
Gate::~Gate() = default;

void Gate::serve() {
  for_sandboxd_.on<ipc::OpenDoor>([this](ipc::OpenDoor request, std::vector<net::Descriptor> fds) {
    return open_door(std::move(request), std::move(fds));
  });
  for_sandboxd_.on<ipc::CloseDoor>([this](ipc::CloseDoor request, std::vector<net::Descriptor>) {
    return close_door(request.run);
  });
  serve_control();
  role.serve("sandboxd", for_sandboxd_);
  role.serve("control", for_control_);
  role.serve("vault", nothing_);
  role.serve("audit", nothing_);
  role.on_breach([this](const std::string& peer, const Error& why) {
    recorder.append_now(audit::breach_entry("gateway", peer, why, loop.wall(), loop.now()));
  });
  ring_offers_.begin(
      [this](std::unique_ptr<ipc::RingWriter> ring) { recorder.write_to(std::move(ring)); });
  role.on_descriptor("kill-table", [this](net::Descriptor fd) {
    auto reader = ipc::KillTableReader::open(std::move(fd));
    if (reader) {
      kills = std::move(*reader);
    } else {
      log_error("no kill table, so everything counts as killed",
                {{"why", reader.error().message()}});
    }
  });
  role.on_descriptor("kill-wake", [this](net::Descriptor fd) {
    kill_wake_ = std::move(fd);
    tasks_.spawn(watch_kills());
  });
  role.on_descriptor("attach.tcp", [this](net::Descriptor fd) { attach_.listen(std::move(fd)); });
}

void Gate::serve_control() {
  for_control_.on<ipc::SnapshotReady>(
      [this](ipc::SnapshotReady request, std::vector<net::Descriptor> fds) {
        return take_snapshot(request.generation, std::move(fds));
      });
  for_control_.on<ipc::UseProxyCredentials>(
      [this](ipc::UseProxyCredentials request, std::vector<net::Descriptor>) {
        return take_credentials(std::move(request));
      });
  for_control_.on<ipc::GetCounters>(
      [this](ipc::GetCounters, std::vector<net::Descriptor>) { return tell_counters(); });
  for_control_.on<ipc::OpenAttachment>(
      [this](ipc::OpenAttachment request, std::vector<net::Descriptor>) {
        return open_attachment(std::move(request));
      });
  for_control_.on<ipc::CloseAttachment>(
      [this](ipc::CloseAttachment request, std::vector<net::Descriptor>) {
        return close_attachment(request.run);
      });
  for_control_.on<ipc::KeepAttachments>(
      [this](ipc::KeepAttachments request, std::vector<net::Descriptor>) {
        return keep_attachments(std::move(request.runs));
      });
  for_control_.on<ipc::UseClientIdentity>(
      [this](ipc::UseClientIdentity request, std::vector<net::Descriptor>) {
        return take_identity(std::move(request));
      });
  for_control_.on<ipc::UseAttachIdentity>(
      [this](ipc::UseAttachIdentity request, std::vector<net::Descriptor>) {
        return attach_.use(std::move(request));
      });
}

Task<Result<ipc::Done>> Gate::open_door(ipc::OpenDoor request, std::vector<net::Descriptor> fds) {
  if (fds.size() != kDoorDescriptors) {
    co_return failure(Error::kInvalid, "a Door comes with four descriptors");
  }
  // A new sandboxd offers what it has adopted: the Door is the same, and what passes it goes on.
  if (doors_.contains(request.run.run)) co_return ipc::Done{};
  auto door = std::make_unique<Door>(loop, std::move(request));
  constexpr std::array kEntrances = {Entrance::kProxy, Entrance::kCaptured, Entrance::kCaptured};
  for (std::size_t i = 0; i < kEntrances.size(); ++i) {
    auto listener = CO_TRY(loop.adopt_listener(std::move(fds[i])));
    door->listeners.push_back(std::move(listener));
    door->tasks.spawn(accept_all(door.get(), door->listeners.back().get(), kEntrances[i]));
  }
  door->dns = std::move(fds[3]);
  door->tasks.spawn(answer_names(*this, *door));
  log_info("a Door is open", {{"run", door->run.run.text()}, {"trace", door->run.trace.text()}});
  doors_[door->run.run] = std::move(door);
  co_return ipc::Done{};
}

Task<Result<ipc::Done>> Gate::close_door(RunId run) {
  drop_door(run);
  co_return ipc::Done{};
}

void Gate::drop_door(const RunId& run) {
  doors_.erase(run);
  conversations.forget(run);
}

// --- Runs without a sandbox

Task<Result<ipc::Done>> Gate::open_attachment(ipc::OpenAttachment request) {
  if (request.thumbprint.size() != wire::kThumbprintBytes) {
    co_return failure(Error::kInvalid, "a client certificate's thumbprint has 32 bytes");
  }
  if (doors_.contains(request.run.run)) co_return ipc::Done{};
  auto door = std::make_unique<Door>(
      loop, ipc::OpenDoor{std::move(request.run), std::move(request.placeholders)});
  door->thumbprint = std::move(request.thumbprint);
  log_info("an agent outside of a sandbox may come in",
           {{"run", door->run.run.text()}, {"trace", door->run.trace.text()}});
  doors_[door->run.run] = std::move(door);
  co_return ipc::Done{};
}

Task<Result<ipc::Done>> Gate::close_attachment(RunId run) {
  if (attached_door(run) != nullptr) drop_door(run);
  co_return ipc::Done{};
}

Task<Result<ipc::Done>> Gate::keep_attachments(std::vector<RunId> runs) {
  std::vector<RunId> ended;
  for (const auto& [run, door] : doors_) {
    if (door->thumbprint.empty()) continue;
    if (std::find(runs.begin(), runs.end(), run) == runs.end()) ended.push_back(run);
  }
  for (const RunId& run : ended) drop_door(run);
  co_return ipc::Done{};
}

Door* Gate::attached_door(const RunId& run) {
  const auto found = doors_.find(run);
  if (found == doors_.end() || found->second->thumbprint.empty()) return nullptr;
  return found->second.get();
}

Task<Result<ipc::Done>> Gate::take_snapshot(std::uint64_t generation,
                                            std::vector<net::Descriptor> fds) {
  struct stat about{};
  if (fds.size() != 1 || fstat(fds[0].get(), &about) != 0 || about.st_size > kSnapshotMost) {
    co_return failure(Error::kInvalid, "a Snapshot comes as one descriptor");
  }
  std::string bytes(static_cast<std::size_t>(about.st_size), '\0');
  if (pread(fds[0].get(), bytes.data(), bytes.size(), 0) != about.st_size) {
    co_return failure(Error::kInvalid, "the Snapshot cannot be read");
  }
  auto snapshot = CO_TRY(ipc::decode<ipc::Snapshot>(bytes));
  if (snapshot.generation != generation) {
    co_return failure(Error::kInvalid, "the Snapshot is of another generation than announced");
  }
  upstreams.use(snapshot.network);
  upstreams.keep_identities(snapshot.services);
  keep_routes_of(snapshot, attempts);
  rulebook = std::make_shared<const Rulebook>(std::move(snapshot));
  log_info("rules are in force", {{"generation", generation}});
  co_return ipc::Done{};
}

Task<Result<ipc::Done>> Gate::take_credentials(ipc::UseProxyCredentials request) {
  upstreams.use_credentials(std::move(request.authorization), std::move(request.proxy));
  co_return ipc::Done{};
}

Task<Result<ipc::Done>> Gate::take_identity(ipc::UseClientIdentity request) {
  CO_TRY(upstreams.use(std::move(request)));
  co_return ipc::Done{};
}

Task<void> Gate::accept_all(Door* door, net::Listener* listener, Entrance entrance) {
  while (true) {
    auto stream = co_await listener->accept(Deadline::never());
    if (!stream) {
      log_warning("a Door cannot accept for now", {{"why", stream.error().message()}});
      co_await loop.sleep_for(100ms);
      continue;
    }
    serve_at(*door, std::make_unique<Client>(std::move(*stream)), entrance);
  }
}

void Gate::serve_at(Door& door, std::unique_ptr<Client> client, Entrance entrance) {
  if (is_full(door)) return turn_away(door, std::move(client), entrance);
  serve_as_connection(door, [&](Listed listed) {
    return serve_connection(*this, door, std::move(listed), std::move(client), entrance);
  });
}

void Gate::serve_as_connection(Door& door, const std::function<Task<void>(Listed)>& serve) {
  ++counters.connections;
  Listed listed(*this, door);
  const std::uint64_t id = listed.id();
  connections_.at(id).task = door.tasks.spawn(serve(std::move(listed)));
}

Error Gate::full() {
  return {Error::kExhausted, "this gateway has as many connections as it may; try again"};
}

bool Gate::is_full(const Door& door) const {
  if (door.connections >= kConnectionsMost) return true;
  rlimit descriptors{};
  if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return true;
  const std::uint64_t all = descriptors.rlim_cur;
  const std::uint64_t kept = std::min(all / kDescriptorsKeptPart, kDescriptorsKeptMost);
  return connections_.size() >= (all - kept) / kDescriptorsOfOne;
}

// What is caught on its way may not be HTTP: it is reset.
void Gate::turn_away(Door& door, std::unique_ptr<Client> client, Entrance entrance) {
  counters.refuse(Error::kExhausted);
  if (entrance != Entrance::kProxy || door.turned_away.size() >= kTurnedAwayMost) {
    return client->stream->close_with_reset();
  }
  door.turned_away.spawn(say_full(loop, door, std::move(client)));
}

Task<Result<ipc::CounterList>> Gate::tell_counters() {
  ipc::CounterList list = counters.list();
  list.counters.push_back({"audit.lost", recorder.lost()});
  list.counters.push_back({"open", connections_.size()});
  list.counters.push_back({"doors", doors_.size()});
  list.counters.push_back({"upstreams.idle", upstreams.idle()});
  list.counters.push_back({"upstreams.http2", upstreams.links()});
  const Upstreams::Pool& pool = upstreams.pool();
  list.counters.push_back({"upstreams.in_use", pool.in_use});
  list.counters.push_back({"upstreams.made", pool.made});
  list.counters.push_back({"upstreams.failed", pool.failed});
  list.counters.push_back({"upstreams.reused", pool.reused});
  attach_.add_counters(list);
  ipc::add_process_counters(list);
  co_return list;
}

void Gate::end_lease_soon(LeaseId lease) {
  ended_leases_.push_back(lease);
  if (ended_leases_.size() == 1) tasks_.spawn(end_leases());
}

// All that have ended until this has its turn, in one message. While it is answered, more may end.
Task<void> Gate::end_leases() {
  co_await loop.sleep_for(kLeasesEndAfter);
  while (!ended_leases_.empty()) {
    const std::size_t count = std::min(ended_leases_.size(), ipc::EndLeases::kMost);
    ipc::EndLeases message;
    message.leases.assign(ended_leases_.end() - static_cast<std::ptrdiff_t>(count),
                          ended_leases_.end());
    ended_leases_.resize(ended_leases_.size() - count, ipc::no_lease());
    // The vault ends a lease by itself when its Run ends; a lost message costs nothing but that.
    tasks_.spawn(told(role.call("vault", std::move(message), loop.in(5s))));
  }
}

void Gate::cancel_soon(Door& door, std::uint64_t connection) {
  loop.post([this, run = door.run.run, connection] {
    const auto found = connections_.find(connection);
    if (found == connections_.end() || !doors_.contains(run)) return;
    ++counters.client_left;
    found->second.door->tasks.cancel(found->second.task);
  });
}

Task<void> Gate::watch_kills() {
  while (true) {
    (void)co_await loop.wait_readable(kill_wake_.get(), Deadline::never());
    if (!ipc::take_rings(kill_wake_.get())) co_return;
    cut_killed();
  }
}

void Gate::cut_killed() {
  std::map<RunId, std::vector<std::uint64_t>> killed;
  for (const auto& [id, open] : connections_) {
    if (is_killed(open.door->run.run)) killed[open.door->run.run].push_back(id);
  }
  for (const auto& [run, ids] : killed) {
    const TraceId trace = connections_.at(ids.front()).door->run.trace;
    // The youngest first: what a tunnel says last goes out by the connection that carries it.
    for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
      const OpenConnection open = connections_.at(*id);
      ++counters.cut_by_kill;
      open.door->tasks.cancel(open.task);
    }
    log_warning("connections cut by a kill",
                {{"count", ids.size()}, {"run", run.text()}, {"trace", trace.text()}});
  }
}

ipc::CounterList Counters::list() const {
  ipc::CounterList list;
  list.counters = {{"connections", connections},
                   {"exchanges", exchanges},
                   {"malformed", malformed},
                   {"cut_by_kill", cut_by_kill},
                   {"client_left", client_left},
                   {"names_refused", names_refused},
                   {"alarms", alarms},
                   {"busy", busy},
                   {"routes.exchanges", routed},
                   {"routes.retries", route_retries},
                   {"routes.retries_refused", route_retries_refused},
                   {"routes.targets_set_aside", targets_set_aside},
                   {"live.exchanges", live_exchanges},
                   {"live.streams", live_streams}};
  exchange_time.add_to(list, "time.exchange");
  own_time.add_to(list, "time.own");
  upstream_time.add_to(list, "time.upstream");
  llm_first_chunk_time.add_to(list, "time.llm_first_chunk");
  llm_first_token_time.add_to(list, "time.llm_first_token");
  models.add_to(list);
  for (const auto& [label, count] : refused) {
    list.counters.push_back({"refused." + std::string(label), count});
  }
  return list;
}

Listed::Listed(Gate& gate, Door& door) : gate_(&gate), door_(&door), id_(gate.next_connection_++) {
  ++door.connections;
  gate.connections_[id_] = {&door, nullptr};
}
Listed::~Listed() {
  if (gate_ == nullptr) return;
  --door_->connections;
  gate_->connections_.erase(id_);
}

}  // namespace gatehouse::gateway
