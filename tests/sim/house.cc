// SPDX-License-Identifier: Apache-2.0
#include "sim/house.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include "audit/entry.h"
#include "base/check.h"
#include "base/log.h"
#include "ipc/cli_control.h"
#include "ipc/supervisor.h"
#include "sim/actors.h"

namespace gatehouse::sim {
namespace {

using net::Task;
using Fds = std::vector<net::Descriptor>;

const std::map<std::string, std::vector<std::string>> kPeers = {
    {"audit", {}},
    {"vault", {"audit", "courier"}},
    {"courier", {}},
    {"gateway", {"vault", "audit"}},
    {"gateway.1", {"vault", "audit"}},
    {"control", {"vault", "gateway", "gateway.1", "courier", "audit", "sandboxd"}},
    {"sandboxd", {"gateway", "gateway.1", "audit"}},
};

net::Descriptor copy_of(const net::Descriptor& fd) {
  net::Descriptor copy(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  CHECK(copy.is_open());
  return copy;
}

net::Descriptor unix_listener(const std::string& path) {
  net::Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  CHECK(path.size() < sizeof at.sun_path);
  path.copy(at.sun_path, path.size());
  CHECK(bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
  CHECK(listen(fd.get(), 64) == 0);
  return fd;
}

class SandboxdActor : public Actor {
 public:
  SandboxdActor(net::SimLoop& loop, const ipc::Permits& from_control) : Actor(loop) {
    role_->serve("control", from_control);
  }
};

}  // namespace

// A line between two roles: what one writes the other reads, late and in other pieces.
struct House::Line {
  std::string a;
  std::string b;
  std::unique_ptr<net::LocalStream> from_a;
  std::unique_ptr<net::LocalStream> from_b;
};

// The supervisor's end of a role's line.
struct House::Supervised {
  std::unique_ptr<ipc::Channel> channel;
};

House::House(net::SimLoop& loop, std::uint64_t seed)
    : loop_(loop), random_(seed ^ 0x5eed), tasks_(loop) {
  std::string name = "/tmp/gatehouse-sim-XXXXXX";
  CHECK(mkdtemp(name.data()) != nullptr);
  folder_ = name;
  admin_ = unix_listener(admin_path());
  attach_ = unix_listener(attach_path());
  for (const auto& [role, peers] : kPeers) names_.push_back(role);
  for (const char* role : {"audit", "vault", "control"}) {
    disks_[role] = net::make_sim_file_system(random_());
  }
  auto table = ipc::KillTableWriter::make();
  CHECK(table.has_value());
  kill_table_ = std::move(*table);
  publish_kills();
  from_roles_.on<ipc::RoleReady>(
      [](ipc::RoleReady, Fds) -> Task<Result<ipc::Done>> { co_return ipc::Done{}; });
  from_roles_.on<ipc::GetStatus>([this](ipc::GetStatus, Fds) {
    return [](this auto, const House* house) -> Task<Result<ipc::Status>> {
      ipc::Status status;
      status.all_killed = house->all_killed_;
      status.killed.assign(house->killed_.begin(), house->killed_.end());
      co_return status;
    }(this);
  });
  from_control_.on_with_fds<ipc::CreateSandbox>(
      [this](ipc::CreateSandbox create, Fds) { return create_sandbox(std::move(create)); });
  from_control_.on<ipc::EndSandbox>([this](ipc::EndSandbox end, Fds) {
    return [](this auto, House* house, RunId run) -> Task<Result<ipc::Done>> {
      house->end_sandbox(run);
      co_return ipc::Done{};
    }(this, end.run);
  });
  from_control_.on<ipc::ListSandboxes>([this](ipc::ListSandboxes, Fds) {
    return [](this auto, House* house) -> Task<Result<ipc::SandboxList>> {
      ipc::SandboxList list;
      for (const auto& [run, open] : house->doors_) list.runs.push_back(run);
      co_return list;
    }(this);
  });
}

House::~House() {
  stop();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

// --- the supervisor's part

void House::start() {
  for (const std::string& name : names_) {
    if (!is_up(name)) start_role(name);
  }
}

void House::start_role(const std::string& name) {
  Result<std::unique_ptr<Actor>> actor = [&]() -> Result<std::unique_ptr<Actor>> {
    if (name == "sandboxd") return std::make_unique<SandboxdActor>(loop_, from_control_);
    const auto disk = disks_.find(name);
    return make_actor(name, {loop_, disk == disks_.end() ? nullptr : disk->second.get(),
                             std::to_string(power_failures_)});
  }();
  if (!actor) {
    // As a supervisor that tries again, with a pause.
    log_warning("a simulated role does not start",
                {{"name", name}, {"why", actor.error().message()}});
    tasks_.spawn([](this auto, House* house, std::string role) -> Task<void> {
      co_await house->loop_.sleep_for(1s);
      if (!house->is_up(role) && !house->has_lost_power()) house->start_role(role);
    }(this, name));
    return;
  }
  auto pair = net::make_socket_pair();
  CHECK(pair.has_value());
  auto supervised = std::make_unique<Supervised>();
  supervised->channel = std::make_unique<ipc::Channel>(
      loop_, std::move(*loop_.adopt_local(std::move(pair->first))), name, from_roles_);
  CHECK((*actor)->role().begin(std::move(pair->second), [] {}));
  supervised_[name] = std::move(supervised);
  actors_[name] = std::move(*actor);
  furnish(name);
}

void House::furnish(const std::string& name) {
  if (name == "vault" || name.starts_with("gateway")) {
    give(name, "kill-table", net::Descriptor(fcntl(kill_table_->fd(), F_DUPFD_CLOEXEC, 3)));
    std::array<int, 2> bell{};
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, bell.data()) == 0);
    bells_[name] = net::Descriptor(bell[0]);
    give(name, "kill-wake", net::Descriptor(bell[1]));
  }
  if (name == "control") {
    auto pair = net::make_socket_pair();
    CHECK(pair.has_value());
    people_at_control_ =
        std::make_unique<ipc::Channel>(loop_, std::move(*loop_.adopt_local(std::move(pair->first))),
                                       "people", *actors_.at(name)->for_people());
    people_ = std::make_unique<ipc::Channel>(
        loop_, std::move(*loop_.adopt_local(std::move(pair->second))), "control", nothing_);
    give(name, "admin.sock", copy_of(admin_));
  }
  for (const auto& [other, actor] : actors_) {
    if (other == name) continue;
    const auto& mine = kPeers.at(name);
    const auto& theirs = kPeers.at(other);
    if (std::find(mine.begin(), mine.end(), other) != mine.end()
        || std::find(theirs.begin(), theirs.end(), name) != theirs.end()) {
      join(name, other);
    }
  }
  if (!name.starts_with("gateway")) return;
  give(name, "attach.tcp", copy_of(attach_));
  open_doors(name);
}

void House::join(const std::string& a, const std::string& b) {
  auto left = net::make_socket_pair();
  auto right = net::make_socket_pair();
  CHECK(left && right);
  auto line = std::make_shared<Line>();
  line->a = a;
  line->b = b;
  line->from_a = std::move(*loop_.adopt_local(std::move(left->first)));
  line->from_b = std::move(*loop_.adopt_local(std::move(right->first)));
  tasks_.spawn(carry(line, true));
  tasks_.spawn(carry(line, false));
  attach(a, b, std::move(left->second));
  attach(b, a, std::move(right->second));
}

Task<void> House::carry(std::shared_ptr<Line> line, bool forth) {
  net::LocalStream& from = forth ? *line->from_a : *line->from_b;
  net::LocalStream& to = forth ? *line->from_b : *line->from_a;
  const bool may_leak =
      (forth ? line->a : line->b) == "vault" && (forth ? line->b : line->a).starts_with("gateway");
  std::string buffer(8192, '\0');
  std::string tail;
  while (true) {
    std::vector<net::Descriptor> fds;
    const std::size_t most = random_.below(4) == 0 ? 1 + random_.below(200) : buffer.size();
    const auto got = co_await from.read_with({buffer.data(), most}, fds, Deadline::never());
    if (!got || *got == 0) break;
    const std::string_view bytes(buffer.data(), *got);
    if (may_leak) {
      tail += bytes;
      for (const std::string_view canary : {kRefreshPrefix, kClientSecret, kRootKey}) {
        if (tail.contains(canary)) leaks_.emplace_back(canary);
      }
      if (tail.size() > 64) tail.erase(0, tail.size() - 64);
    }
    if (random_.below(6) == 0) {
      co_await loop_.sleep_for(std::chrono::microseconds(random_.below(3000)));
    }
    std::vector<int> raw;
    for (const net::Descriptor& fd : fds) raw.push_back(fd.get());
    const Result<void> put = raw.empty() ? co_await to.write(bytes, loop_.in(10s))
                                         : co_await to.write_with(bytes, raw, loop_.in(10s));
    if (!put) break;
  }
  line->from_a->disconnect();
  line->from_b->disconnect();
}

void House::attach(const std::string& to, const std::string& peer, net::Descriptor fd) {
  ipc::AttachPeer message{peer};
  hand(to, ipc::parcel_of(message), std::move(fd));
}
void House::give(const std::string& to, const std::string& name, net::Descriptor fd) {
  ipc::GiveDescriptor message{name};
  hand(to, ipc::parcel_of(message), std::move(fd));
}
void House::hand(const std::string& to, ipc::Parcel parcel, net::Descriptor fd) {
  tasks_.spawn([](this auto, House* house, std::string role, ipc::Parcel message,
                  net::Descriptor mine) -> Task<void> {
    const auto found = house->supervised_.find(role);
    if (found == house->supervised_.end()) co_return;
    const std::array<int, 1> fds = {mine.get()};
    (void)co_await found->second->channel->exchange(std::move(message), fds, house->loop_.in(10s));
  }(this, to, std::move(parcel), std::move(fd)));
}

void House::kill(const std::string& name, bool again) {
  const auto found = actors_.find(name);
  if (found == actors_.end()) return;
  if (name == "audit") read_log();
  ++crashes;
  if (name == "audit" || name == "vault") ++book_crashes;
  if (name == "control") {
    people_at_control_.reset();
    people_.reset();
  }
  found->second->role().leave();
  actors_.erase(found);
  supervised_.erase(name);
  bells_.erase(name);
  if (!again) return;
  tasks_.spawn([](this auto, House* house, std::string role) -> Task<void> {
    co_await house->loop_.sleep_for(std::chrono::milliseconds(50 + house->random_.below(500)));
    if (!house->is_up(role) && !house->has_lost_power()) house->start_role(role);
  }(this, name));
}

void House::lose_power() {
  read_log();
  for (const std::string& name : names_) kill(name, false);
  doors_.clear();
  for (auto& [name, disk] : disks_) disk->pull_the_plug();
  for (auto& [name, disk] : disks_) disk->restart();
  is_cut_ = false;
  ++power_failures_;
}

void House::stop() {
  for (const std::string& name : names_) kill(name, false);
  doors_.clear();
  tasks_.cancel_all();
}

void House::calm() {
  for (auto& [name, disk] : disks_) disk->fail_after(0, Error::kExhausted);
  start();
}

void House::fail_audit_disk(Error::Code code) {
  disks_.at("audit")->fail_after(1 + random_.below(6), code);
}

void House::publish_kills() {
  kill_table_->publish(all_killed_, {killed_.begin(), killed_.end()});
  for (const auto& [name, bell] : bells_) {
    (void)::send(bell.get(), "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}
void House::kill_run(const RunId& run) {
  killed_.insert(run);
  publish_kills();
}
void House::kill_all(bool killed) {
  all_killed_ = killed;
  publish_kills();
}
bool House::is_killed(const RunId& run) const { return all_killed_ || killed_.contains(run); }

// --- sandboxd's part

Task<Result<std::pair<ipc::SandboxCreated, Fds>>> House::create_sandbox(ipc::CreateSandbox create) {
  using Made = std::pair<ipc::SandboxCreated, Fds>;
  const RunId run = create.run.run;
  SimDoor& made = doors_[run];
  made.open = {create.run, std::move(create.placeholders)};
  made.environment = std::move(create.environment);
  const std::string name = folder_ + "/" + std::to_string(next_door_++);
  made.path = name + ".proxy";
  for (const char* listener : {".proxy", ".capture4", ".capture6"}) {
    made.fds.push_back(unix_listener(name + listener));
  }
  std::array<int, 2> dns{};
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, dns.data()) == 0);
  made.fds.emplace_back(dns[0]);
  close(dns[1]);
  // At both gateways: whichever is free takes what comes.
  bool is_open = false;
  for (const char* gateway : {"gateway", "gateway.1"}) {
    const auto here = doors_.find(run);
    if (here == doors_.end()) co_return failure(Error::kUnavailable, "it was ended meanwhile");
    if (co_await offer_door(gateway, &here->second)) is_open = true;
  }
  if (!is_open) {
    doors_.erase(run);
    co_return failure(Error::kUnavailable, "no gateway is there");
  }
  const auto here = doors_.find(run);
  if (here == doors_.end()) co_return failure(Error::kUnavailable, "it was ended meanwhile");
  Fds fds;
  for (int i = 0; i < 4; ++i) {
    std::array<int, 2> ends{};
    CHECK(pipe2(ends.data(), O_CLOEXEC) == 0);
    fds.emplace_back(ends[0]);
    here->second.status = net::Descriptor(ends[1]);
  }
  co_return Made(ipc::SandboxCreated{false, {}}, std::move(fds));
}

Task<Result<ipc::Done>> House::offer_door(std::string gateway, SimDoor* door) {
  ipc::OpenDoor open = door->open;
  std::vector<net::Descriptor> copies;
  std::vector<int> raw;
  for (const net::Descriptor& fd : door->fds) {
    copies.push_back(copy_of(fd));
    raw.push_back(copies.back().get());
  }
  const auto sandboxd = actors_.find("sandboxd");
  ipc::Channel* channel =
      sandboxd == actors_.end() ? nullptr : sandboxd->second->role().peer(gateway);
  if (channel == nullptr) co_return failure(Error::kUnavailable, gateway + " is away");
  CO_TRY(co_await channel->exchange(ipc::parcel_of(open), raw, loop_.in(5s)));
  co_return ipc::Done{};
}

void House::open_doors(const std::string& gateway) {
  // Until the gateway is attached to sandboxd; a Run that ends meanwhile needs none.
  tasks_.spawn([](this auto, House* house, std::string name) -> Task<void> {
    for (int tries = 0; tries < 200; ++tries) {
      co_await house->loop_.sleep_for(10ms);
      const auto sandboxd = house->actors_.find("sandboxd");
      if (sandboxd != house->actors_.end() && sandboxd->second->role().peer(name) != nullptr) break;
    }
    std::vector<RunId> runs;
    for (const auto& [run, door] : house->doors_) runs.push_back(run);
    for (const RunId& run : runs) {
      const auto found = house->doors_.find(run);
      if (found != house->doors_.end()) (void)co_await house->offer_door(name, &found->second);
    }
  }(this, gateway));
}

SimDoor* House::door(const RunId& run) {
  const auto found = doors_.find(run);
  return found == doors_.end() ? nullptr : &found->second;
}

void House::end_sandbox(const RunId& run) {
  const auto found = doors_.find(run);
  if (found == doors_.end()) return;
  doors_.erase(found);
  tasks_.spawn([](this auto, House* house, RunId ended) -> Task<void> {
    for (const char* gateway : {"gateway", "gateway.1"}) {
      const auto sandboxd = house->actors_.find("sandboxd");
      if (sandboxd == house->actors_.end()) co_return;
      (void)co_await sandboxd->second->role().call(gateway, ipc::CloseDoor{ended},
                                                   house->loop_.in(5s));
    }
    const auto sandboxd = house->actors_.find("sandboxd");
    if (sandboxd == house->actors_.end()) co_return;
    // One that is away asks which sandboxes there are when it comes.
    (void)co_await sandboxd->second->role().call("control", ipc::SandboxEnded{ended, 0},
                                                 house->loop_.in(5s));
  }(this, run));
}

// --- what the oracle looks at

void House::read_log() {
  const auto audit = actors_.find("audit");
  if (audit == actors_.end()) return;
  audit::Log& log = *audit->second->log();
  CHECK(log.size() >= intents_seen_);  // what was acknowledged is never lost
  for (; intents_seen_ < log.size(); ++intents_seen_) {
    const auto bytes = log.read(intents_seen_);
    if (!bytes) break;  // the disk is without power
    const auto entry = audit::decode(*bytes);
    CHECK(entry.has_value());
    if (entry->kind == audit::Kind::kIntent) intents_[entry->span.text()] = intents_seen_;
  }
}

std::uint64_t House::durable_entries() {
  if (has_lost_power()) return kUnknown;
  read_log();
  return intents_seen_;
}

bool House::was_durable(const std::string& span, std::uint64_t entries) {
  if (entries == kUnknown) return true;
  const auto found = intents_.find(span);
  return found != intents_.end() && found->second < entries;
}

std::size_t House::held() {
  std::size_t all = 0;
  for (const auto& [name, actor] : actors_) all += actor->held();
  return all;
}

}  // namespace gatehouse::sim
