// SPDX-License-Identifier: Apache-2.0
#include "ipc/role.h"

#include "base/log.h"

namespace gatehouse::ipc {

using net::Task;

namespace {

constexpr Nanos kLossLook = 1s;
constexpr Nanos kTellMost = 10s;

Task<Result<Attempts>> tried(Probe probe) { co_return Attempts{try_everything(probe)}; }

Task<Result<Done>> log_used(LogForm form) {
  log_form(form == LogForm::kJson ? LogForm::kJson : LogForm::kText);
  co_return Done{};
}

}  // namespace

Role::Role(net::Loop& loop) : loop_(loop), nursery_(loop) {
  supervisor_permits_.on<Probe>(
      [](Probe probe, std::vector<net::Descriptor>) { return tried(std::move(probe)); });
  supervisor_permits_.on<UseLog>(
      [](UseLog use, std::vector<net::Descriptor>) { return log_used(use.form); });
  supervisor_permits_.on<AttachPeer>([this](AttachPeer request, std::vector<net::Descriptor> fds) {
    return attach(std::move(request), std::move(fds));
  });
  supervisor_permits_.on<GiveDescriptor>(
      [this](GiveDescriptor request, std::vector<net::Descriptor> fds) {
        return take(std::move(request.name), std::move(fds));
      });
}

Task<Result<Done>> Role::attach(AttachPeer request, std::vector<net::Descriptor> ends) {
  if (ends.size() != 1) co_return failure(Error::kInvalid, "a peer comes with one descriptor");
  const std::string& name = request.peer;
  auto stream = CO_TRY(loop_.adopt_local(std::move(ends[0])));
  auto channel = std::make_unique<Channel>(loop_, std::move(stream), name, permits_for(name));
  Channel& arrived = *channel;
  arrived.on_breach([this, name](const Error& why) {
    if (breached_) breached_(name, why);
  });
  Peer& peer = peers_[name];
  peer.channel = std::move(channel);
  peer.number = ++attached_;
  if (request.tells_loss) nursery_.spawn(tell_loss(name, peer.number));
  log_debug("a peer is attached", {{"peer", name}});
  for (const auto& [wanted, tell] : on_peer_) {
    if (name == wanted || name.starts_with(wanted + ".")) tell(arrived);
  }
  co_return Done{};
}

// A peer that has ended is attached again when it is back, without our word; a connection that
// broke between two that live is not.
Task<void> Role::tell_loss(std::string name, std::uint64_t number) {
  const auto is_current = [&] { return peers_.at(name).number == number; };
  while (is_current() && peers_.at(name).channel->is_open()) co_await loop_.sleep_for(kLossLook);
  while (is_current()) {
    log_warning("the connection to a peer broke", {{"peer", name}});
    (void)co_await supervisor_->call(PeerLost{name}, loop_.in(kTellMost));
    co_await loop_.sleep_for(kLossLook);
  }
}

Task<Result<Done>> Role::take(std::string name, std::vector<net::Descriptor> given) {
  const auto found = on_descriptor_.find(name);
  if (given.size() != 1 || found == on_descriptor_.end()) {
    co_return failure(Error::kInvalid, "nobody here wants a descriptor named " + name);
  }
  found->second(std::move(given[0]));
  co_return Done{};
}

Role::~Role() = default;

void Role::serve(std::string peer, const Permits& permits) {
  serve_each(std::move(peer), [&permits](const std::string&) -> const Permits& { return permits; });
}

void Role::serve_each(std::string peer, TableOf table) {
  served_[std::move(peer)] = std::move(table);
}

void Role::leave() {
  nursery_.cancel_all();
  peers_.clear();
  supervisor_.reset();
}

void Role::on_peer(std::string peer, std::function<void(Channel&)> arrived) {
  on_peer_[std::move(peer)] = std::move(arrived);
}

void Role::on_descriptor(std::string name, std::function<void(net::Descriptor)> arrived) {
  on_descriptor_[std::move(name)] = std::move(arrived);
}

void Role::on_breach(std::function<void(const std::string&, const Error&)> told) {
  breached_ = std::move(told);
}

const Permits& Role::permits_for(const std::string& peer) const {
  for (const auto& [name, table] : served_) {
    if (peer == name || peer.starts_with(name + ".")) return table(peer);
  }
  return nothing_;
}

Channel* Role::peer(const std::string& name) {
  const auto found = peers_.find(name);
  if (found == peers_.end() || !found->second.channel->is_open()) return nullptr;
  return found->second.channel.get();
}

std::vector<std::string> Role::peers_of(const std::string& role) const {
  std::vector<std::string> names;
  for (const auto& [name, peer] : peers_) {
    if (peer.channel->is_open() && role_of(name) == role) names.push_back(name);
  }
  return names;
}

Result<void> Role::begin(net::Descriptor line, std::function<void()> orphaned) {
  auto stream = TRY(loop_.adopt_local(std::move(line)));
  supervisor_ =
      std::make_unique<Channel>(loop_, std::move(stream), "supervisor", supervisor_permits_);
  nursery_.spawn([](this auto, Task<void> closed, std::function<void()> tell) -> Task<void> {
    co_await std::move(closed);
    tell();
  }(supervisor_->closed(), std::move(orphaned)));
  ready();
  return {};
}

Result<void> Role::run() {
  TRY(begin(net::Descriptor(kSupervisorDescriptor), [this] {
    log_warning("the supervisor is gone; this role ends");
    loop_.stop();
  }));
  loop_.run();
  return {};
}

void Role::ready() {
  nursery_.spawn([](this auto, Role* self) -> Task<void> {
    const auto told = co_await self->supervisor_->call(RoleReady{}, self->loop_.in(10s));
    if (!told) log_warning("the supervisor did not hear that this role is ready");
  }(this));
}

}  // namespace gatehouse::ipc
