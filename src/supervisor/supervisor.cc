// SPDX-License-Identifier: Apache-2.0
#include "supervisor/supervisor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>

#include "audit/breach.h"
#include "base/log.h"
#include "base/sanitizer.h"
#include "ipc/counters.h"
#include "ipc/role.h"
#include "net/turn.h"
#include "supervisor/access_log.h"
#include "supervisor/house_key.h"
#include "supervisor/joiner.h"
#include "supervisor/listen.h"
#include "supervisor/notify.h"
#include "supervisor/ports.h"
#include "supervisor/posture.h"
#include "supervisor/sandboxes.h"
#include "supervisor/scribe.h"
#include "supervisor/spawn.h"

namespace gatehouse::supervisor {
namespace {

using net::Task;

constexpr int kWrongConfiguration = 78;  // EX_CONFIG of sysexits(3)
constexpr Nanos kBackOffFirst = 100ms;
constexpr Nanos kBackOffMost = 10s;
constexpr Nanos kTryMost = 10s;          // for a role to try what it can do
constexpr Nanos kApplyMost = 10s;        // for control to put a config in force
constexpr std::size_t kPeopleMost = 32;  // connections at a time
constexpr rlim_t kDescriptorsKept = 8;  // for who comes with a kill, and for roles that start again
constexpr Nanos kLookAgain = 1s;
constexpr Nanos kStopMost = 5s;  // for sandboxes to end when the house stops
// For a role that is told to end. A sanitizer looks for leaks then.
constexpr Nanos kEndMost = kSanitized ? 30s : 2s;
constexpr Nanos kBuriedMost = 1s;  // when it was killed

// Whether more numbers for descriptors are left than are kept: no sandbox takes the last ones.
bool has_room_for_people() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  const net::Descriptor lowest(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
  return lowest.is_open() && static_cast<rlim_t>(lowest.get()) + kDescriptorsKept < limit.rlim_cur;
}

}  // namespace

class Supervisor::Impl {
 public:
  Impl(net::Loop& loop, Settings settings, std::unique_ptr<net::FileSystem> files,
       std::unique_ptr<ipc::KillTableWriter> table)
      : loop_(loop),
        settings_(std::move(settings)),
        files_(std::move(files)),
        kill_file_(*files_),
        table_(std::move(table)),
        joiner_(loop, children_),
        sandboxes_(loop),
        scribe_(loop),
        nursery_(loop) {}

  Result<void> prepare() {
    notifier_ = TRY(Notifier::from_environment());
    const Result<KillState> state = kill_file_.load();
    if (state) {
      killed_ = *state;
    } else {
      killed_.all = true;
      log_error(
          "the kill file cannot be read, so everything is killed; look at it, then "
          "`gatehouse revive --all`",
          {{"why", state.error().message()}});
    }
    table_->publish(killed_.all, killed_.ids());
    fill_permits();
    house_key_ = TRY(house_key(*files_));
    // Wardens whose sandboxd has ended become children of this, so that no dead one is left.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t wanted;
    sigemptyset(&wanted);
    for (const int signal : {SIGINT, SIGTERM, SIGCHLD, SIGHUP}) sigaddset(&wanted, signal);
    sigprocmask(SIG_BLOCK, &wanted, nullptr);
    signals_ = net::Descriptor(signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
    signal(SIGPIPE, SIG_IGN);
    return {};
  }

  Result<void> run() {
    auto listener = TRY(loop_.adopt_listener(TRY(listen_at(path_of("supervisor.sock")))));
    nursery_.spawn(serve_people(std::move(listener)));
    wardens_ = TRY(listen_at(path_of(ipc::kWardensSocket), {SOCK_SEQPACKET, 0600}));
    TRY(ports_.open(settings_.ports));
    access_log_.use(TRY(AccessLog::opened(settings_.access_log)));
    for (const RoleSpec& spec : settings_.roles) {
      Child& child = children_[spec.name];
      child.spec = spec;
      child.back_off = kBackOffFirst;
    }
    for (auto& [name, child] : children_) start(child);
    record_footing();
    nursery_.spawn(wait_for_signals());
    loop_.run();
    end_children();
    return refused_;
  }

 private:
  // What holds here, and what does not, is on record before anything can happen.
  void record_footing() {
    const host::Footing& footing = settings_.footing;
    audit::Entry entry;
    entry.kind = audit::Kind::kNote;
    entry.add("what", "the house starts");
    entry.add("mode", text(footing.mode));
    for (const std::string& missing : footing.not_enforced) entry.add("not_enforced", missing);
    if (!footing.no_sandbox.empty()) entry.add("no_sandbox", footing.no_sandbox);
    scribe_.write(std::move(entry));
    for (const std::string& missing : footing.not_enforced) {
      log_warning("not enforced on this host", {{"what", missing}});
    }
    if (!footing.no_sandbox.empty()) log_warning(footing.no_sandbox);
  }

  // --- people and control: kill, revive, status

  void fill_permits() {
    for (const std::uint32_t uid : {0U, settings_.owner_uid}) {
      // On record stands who they are outside.
      const bool is_mapped = settings_.footing.is_rootless();
      const std::string who = fmt::format("uid {}", is_mapped ? settings_.footing.user : uid);
      permit_kills(people_[uid], who);
      people_[uid].on<ipc::Examine>(
          [this](ipc::Examine, std::vector<net::Descriptor>) { return examine(this); });
      people_[uid].on<ipc::Reload>(
          [this, who](ipc::Reload, std::vector<net::Descriptor>) { return reload(this, who); });
    }
    control_.on<ipc::GetCounters>(
        [this](ipc::GetCounters, std::vector<net::Descriptor>) { return counters(this); });
    permit_kills(control_, "");  // which puts on record itself who asked it
  }
  // `by` asks; "" is not put on record.
  void permit_kills(ipc::Permits& permits, std::string by) {
    permits.on<ipc::Kill>([this, by](ipc::Kill request, std::vector<net::Descriptor>) {
      return kill_now(this, std::move(request), by);
    });
    permits.on<ipc::Revive>([this, by](ipc::Revive request, std::vector<net::Descriptor>) {
      return revive_now(this, std::move(request), by);
    });
    permits.on<ipc::GetStatus>(
        [this](ipc::GetStatus, std::vector<net::Descriptor>) { return status_now(this); });
  }

  static Task<Result<ipc::KillDone>> kill_now(Impl* self, ipc::Kill request, std::string by) {
    KillState next = self->killed_;
    if (request.all) {
      next.all = true;
    } else {
      next.runs[request.run] = self->killed_now(request);
    }
    // Seen by the gateway before it is durable: a kill may come too early, never too late.
    self->killed_ = next;
    ipc::KillDone done{self->table_->publish(next.all, next.ids()), 0, 0};
    self->ring_bells();
    self->stop_sandboxes(request, done);
    if (request.destroy && !request.all) self->to_destroy_.insert(request.run);
    const Result<void> saved = self->kill_file_.save(next);
    ++self->kills_;
    log_warning("killed", {{"run", request.all ? "all" : request.run.text()},
                           {"trace", trace_text(next, request.run)},
                           {"generation", done.generation},
                           {"sandboxes", done.sandboxes},
                           {"reason", request.reason}});
    audit::Entry entry;
    entry.kind = audit::Kind::kKilled;
    if (!by.empty()) entry.add("by", by);
    entry.add("reason", request.reason.substr(0, 1024));
    entry.add("sandbox", request.destroy || done.ended > 0 ? "destroyed" : "frozen");
    self->put_on_record(std::move(entry), request.run, request.all, next);
    if (!saved) {
      co_return Failure(saved.error().in(
          "it is killed, but that will not outlast a restart of the house; see to it, and kill "
          "again"));
    }
    co_return done;
  }

  static Task<Result<ipc::KillDone>> revive_now(Impl* self, ipc::Revive request, std::string by) {
    const KillState before = self->killed_;
    KillState next = before;
    if (request.all) {
      next = {};
    } else if (next.runs.erase(request.run) == 0) {
      co_return failure(Error::kNotFound, request.run.text() + " is not killed");
    }
    CO_TRY(self->kill_file_.save(next));
    self->killed_ = next;
    if (request.all) self->to_destroy_.clear();
    self->to_destroy_.erase(request.run);
    ipc::KillDone done{self->table_->publish(next.all, next.ids()), 0, 0};
    for (const auto& [run, sandbox] : self->sandboxes_.all()) {
      const bool still = next.all || next.runs.contains(run);
      if (!still && (request.all || run == request.run) && sandbox.thaw()) ++done.sandboxes;
    }
    ++self->revivals_;
    log_warning("revived", {{"run", request.all ? "all" : request.run.text()},
                            {"trace", trace_text(before, request.run)},
                            {"generation", done.generation}});
    audit::Entry entry;
    entry.kind = audit::Kind::kRevived;
    if (!by.empty()) entry.add("by", by);
    self->put_on_record(std::move(entry), request.run, request.all, before);
    co_return done;
  }

  // What the kill file says of a Run: whose it is, if its sandbox is there or was at an earlier
  // kill.
  [[nodiscard]] Killed killed_now(const ipc::Kill& request) const {
    Killed killed;
    if (const auto known = killed_.runs.find(request.run); known != killed_.runs.end()) {
      killed = known->second;
    }
    if (const Brake* sandbox = sandboxes_.find(request.run); sandbox != nullptr) {
      killed.trace = sandbox->trace;
      killed.tenant = sandbox->tenant;
    }
    killed.at_unix_ms = loop_.wall().unix_millis();
    killed.reason = request.reason.substr(0, 1024);
    return killed;
  }
  static std::string trace_text(const KillState& state, const RunId& run) {
    const auto found = state.runs.find(run);
    return found == state.runs.end() || !found->second.trace ? "" : found->second.trace->text();
  }

  // One Entry for what was asked, and with `all` one in the story of each Run that it met.
  void put_on_record(audit::Entry entry, const RunId& run, bool all, const KillState& known) {
    entry.add("scope", all ? "all" : "run");
    if (all) scribe_.write(entry);
    for (const auto& [id, sandbox] : sandboxes_.all()) {
      if (!all && id != run) continue;
      entry.run = id;
      entry.trace = sandbox.trace;
      entry.tenant = sandbox.tenant;
      scribe_.write(entry);
    }
    if (all || sandboxes_.find(run) != nullptr) return;
    entry.run = run;
    if (const auto found = known.runs.find(run); found != known.runs.end()) {
      entry.trace = found->second.trace.value_or(TraceId{});
      entry.tenant = found->second.tenant;
    }
    scribe_.write(std::move(entry));
  }

  static Task<Result<ipc::Status>> status_now(Impl* self) {
    ipc::Status status;
    status.mode = text(self->settings_.footing.mode);
    status.not_enforced = self->settings_.footing.not_enforced;
    status.no_sandbox = self->settings_.footing.no_sandbox;
    status.all_killed = self->killed_.all;
    status.killed = self->killed_.ids();
    for (const auto& [name, child] : self->children_) {
      status.roles.push_back({name, child.pid, child.ready, child.restarts});
    }
    co_return status;
  }

  static Task<Result<ipc::CounterList>> counters(Impl* self) {
    ipc::CounterList list;
    list.counters = {{"kills", self->kills_},
                     {"revivals", self->revivals_},
                     {"sandboxes", self->sandboxes_.all().size()}};
    ipc::add_process_counters(list);
    co_return list;
  }

  static Task<Result<ipc::Examination>> examine(Impl* self) {
    ipc::Examination all;
    all.mode = text(self->settings_.footing.mode);
    all.not_enforced = self->settings_.footing.not_enforced;
    all.no_sandbox = self->settings_.footing.no_sandbox;
    std::vector<std::string> names;
    for (const auto& [name, child] : self->children_) names.push_back(name);
    for (const std::string& name : names) all.roles.push_back(co_await examine_role(self, name));
    co_return all;
  }
  // A file that is refused is on record too: somebody meant to change what is in force.
  static Task<Result<ipc::ConfigApplied>> reload(Impl* self, std::string by) {
    const net::Turn turn = co_await self->reloads_.take();
    auto applied = co_await apply_config(self, by);
    if (applied) {
      log_info("the configuration was read again", {{"by", by},
                                                    {"added", applied->added.size()},
                                                    {"changed", applied->changed.size()},
                                                    {"removed", applied->removed.size()},
                                                    {"unchanged", applied->unchanged}});
      co_return applied;
    }
    const std::string& why = applied.error().message();
    log_error("the configuration is refused whole, and the one before stays in force",
              {{"by", by}, {"why", why}});
    audit::Entry entry;
    entry.kind = audit::Kind::kAdministered;
    entry.add("who", by);
    entry.add("act", "config.reload");
    entry.add("outcome", "failed");
    entry.add("reason", why.substr(0, 1024));
    self->scribe_.write(std::move(entry));
    co_return applied;
  }
  static Task<Result<ipc::ConfigApplied>> apply_config(Impl* self, std::string by) {
    if (!self->settings_.read_config) co_return failure(Error::kUnsupported, "there is no config");
    ConfigRead read = CO_TRY(self->settings_.read_config());
    std::vector<Ports::Moved> moved = CO_TRY(self->ports_.elsewhere(read.ports));
    net::Descriptor access_log = CO_TRY(AccessLog::opened(read.access_log));
    const auto found = self->children_.find("control");
    if (found == self->children_.end() || !found->second.ready || !found->second.channel) {
      co_return failure(Error::kUnavailable, "control is away; it reads the file when it is back");
    }
    ipc::ApplyConfig request{std::move(by)};
    const std::array<int, 2> fds = {read.memory.get(), read.secrets.get()};
    const ipc::Parcel reply = CO_TRY(co_await found->second.channel->exchange(
        ipc::parcel_of(request), fds, self->loop_.in(kApplyMost)));
    if (reply.type != ipc::ConfigApplied::kType) {
      co_return failure(Error::kUnavailable, "control answered with a message of another type");
    }
    auto applied = CO_TRY(ipc::decode<ipc::ConfigApplied>(reply.payload));
    applied.at_restart = std::move(read.at_restart);
    if (read.log != self->settings_.log) {
      self->use_log(read.log);
      applied.changed.emplace_back("log.format");
    }
    self->access_log_.use(std::move(access_log));
    for (Ports::Moved& port : moved) {
      applied.changed.emplace_back(self->ports_.use(std::move(port)));
    }
    co_return applied;
  }
  // Roles that are started from now on have it from their environment.
  void use_log(LogForm form) {
    settings_.log = form;
    setenv("GATEHOUSE_LOG", form == LogForm::kJson ? "json" : "text", 1);
    log_form(form);
    for (const auto& [name, child] : children_) {
      if (child.channel) nursery_.spawn(tell_log(name, form));
    }
  }
  Task<void> tell_log(std::string name, LogForm form) {
    const auto& channel = children_.at(name).channel;
    if (!channel) co_return;
    const auto told = co_await channel->call(ipc::UseLog{form}, loop_.in(kTryMost));
    if (!told) {
      log_warning("a role was not told the log's form, and has it when it is started again",
                  {{"name", name}, {"why", told.error().message()}});
    }
  }
  static Task<ipc::RoleExamined> examine_role(Impl* self, std::string name) {
    ipc::RoleExamined about{name, "", {}};
    ipc::Probe probe{self->settings_.data, {}};
    for (const auto& [other, child] : self->children_) {
      if (other != name && child.ready) probe.others.push_back(child.pid);
    }
    const Child& child = self->children_.at(name);
    if (!child.ready || !child.channel) {
      about.unanswered = "it is away";
      co_return about;
    }
    const auto tried = co_await child.channel->call(std::move(probe), self->loop_.in(kTryMost));
    if (!tried) about.unanswered = tried.error().message();
    if (tried) {
      for (ipc::Attempt attempt : tried->attempts) {
        // The name of an errno; a captured role could say anything.
        std::erase_if(attempt.said, [](char c) { return c < '0' || c > 'Z'; });
        about.findings.push_back(
            {attempt, should_be_possible(name, attempt.ability, self->settings_.footing.mode)});
      }
    }
    co_return about;
  }

  void stop_sandboxes(const ipc::Kill& request, ipc::KillDone& done) {
    for (const auto& [run, sandbox] : sandboxes_.all()) {
      if (!request.all && run != request.run) continue;
      if (!(request.destroy ? sandbox.destroy() : sandbox.freeze())) continue;
      ++done.sandboxes;
      if (!request.destroy && sandbox.freezer_kind == ipc::Freezer::kNone) ++done.ended;
    }
  }

  void ring_bells() {
    // Pairs of sockets, not eventfds: whether a write to that waits is up to whoever else holds it,
    // and a captured gateway must not hold up a kill.
    for (const auto& [role, bell] : kill_bells_) {
      [[maybe_unused]] const ssize_t sent = ::send(bell.get(), "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
  }

  Task<void> serve_people(std::unique_ptr<net::Listener> listener) {
    std::vector<std::unique_ptr<ipc::Channel>> open;
    while (true) {
      auto stream = co_await listener->accept(Deadline::never());
      if (!stream) {
        co_await loop_.sleep_for(100ms);
        continue;
      }
      std::erase_if(open, [](const auto& channel) { return !channel->is_open(); });
      const Result<std::uint32_t> uid = net::peer_uid(**stream);
      if (!uid || (*uid != 0 && *uid != settings_.owner_uid)) {
        log_warning("a stranger at the supervisor's socket is turned away",
                    {{"uid", uid.value_or(0)}});
        continue;
      }
      // The oldest gives way: whatever is held open here, a kill gets through.
      if (open.size() >= kPeopleMost) open.erase(open.begin());
      open.push_back(std::make_unique<ipc::Channel>(loop_, net::as_local(std::move(*stream)),
                                                    "person", people_.at(*uid)));
    }
  }

  // --- roles

  void start(Child& child) {
    const Result<void> started = spawn(child);
    if (!started) {
      log_error("a role cannot be started",
                {{"name", child.spec.name}, {"why", started.error().message()}});
    }
    nursery_.spawn(started ? tend(child.spec.name) : start_again(child.spec.name));
  }

  Result<void> spawn(Child& child) {
    std::vector<std::string> words = {child.spec.executable};
    words.insert(words.end(), child.spec.arguments.begin(), child.spec.arguments.end());
    Spawned spawned = TRY(spawn_role(std::move(words), child.spec.view));
    child.pid = spawned.pid;
    child.pidfd = std::move(spawned.pidfd);
    child.ready = false;
    // Without a channel the role ends: its line does.
    auto stream = loop_.adopt_local(std::move(spawned.line));
    if (stream) {
      child.channel = std::make_unique<ipc::Channel>(loop_, std::move(*stream), child.spec.name,
                                                     permits_of(child.spec.name));
      child.channel->on_breach([this, name = child.spec.name](const Error& why) {
        scribe_.write(audit::breach_entry("supervisor", name, why, loop_.wall(), loop_.now()));
      });
    }
    return {};
  }

  const ipc::Permits& permits_of(const std::string& role) {
    const auto [found, fresh] =
        role_permits_.try_emplace(role, role == "control" ? control_ : ipc::Permits());
    ipc::Permits& permits = found->second;
    if (!fresh) return permits;
    permits.on<ipc::RoleReady>([this, role](ipc::RoleReady, std::vector<net::Descriptor>) {
      return role_ready(this, role);
    });
    permits.on<ipc::PeerLost>([this, role](ipc::PeerLost lost, std::vector<net::Descriptor>) {
      return join_again(this, role, std::move(lost.peer));
    });
    if (role == "sandboxd") {
      permits.on<ipc::RegisterSandbox>(
          [this](ipc::RegisterSandbox request, std::vector<net::Descriptor> fds) {
            return register_sandbox(this, std::move(request), std::move(fds));
          });
      permits.on<ipc::ResumeSandbox>(
          [this](ipc::ResumeSandbox request, std::vector<net::Descriptor>) {
            return resume_sandbox(this, request.run);
          });
    }
    return permits;
  }

  static Task<Result<ipc::Done>> register_sandbox(Impl* self, ipc::RegisterSandbox request,
                                                  std::vector<net::Descriptor> fds) {
    if (fds.size() != 3) {
      co_return failure(Error::kInvalid, "a sandbox comes with three descriptors");
    }
    if (self->is_stopping_) co_return failure(Error::kUnavailable, "the house is stopping");
    if (!has_room_for_people()) {
      co_return failure(
          Error::kExhausted,
          "no descriptor is left in the supervisor for another sandbox; let the house "
          "have more open files (LimitNOFILE=, ulimit -n)");
    }
    Brake sandbox{std::move(fds[0]),     std::move(fds[1]), request.freezer,
                  request.kill_by_pidfd, request.trace,     request.tenant};
    bool is_stopped = true;
    if (self->to_destroy_.contains(request.run)) {
      is_stopped = sandbox.destroy();
    } else if (self->is_killed(request.run)) {
      is_stopped = sandbox.freeze();
    }
    if (!is_stopped) {
      co_return failure(Error::kKilled, "the run is killed, and its sandbox cannot be stopped");
    }
    self->sandboxes_.put(request.run, std::move(sandbox), std::move(fds[2]));
    co_return ipc::Done{};
  }
  static Task<Result<ipc::Done>> resume_sandbox(Impl* self, RunId run) {
    const Brake* sandbox = self->sandboxes_.find(run);
    if (sandbox == nullptr || self->is_killed(run)) co_return ipc::Done{};
    if (!sandbox->thaw()) co_return failure(Error::kInternal, "the kernel does not thaw it");
    co_return ipc::Done{};
  }
  [[nodiscard]] bool is_killed(const RunId& run) const {
    return killed_.all || killed_.runs.contains(run);
  }

  static Task<Result<ipc::Done>> role_ready(Impl* self, std::string role) {
    Child& child = self->children_.at(role);
    child.ready = true;
    child.was_ready = true;
    child.back_off = kBackOffFirst;
    log_info("a role is ready", {{"name", role}, {"pid", child.pid}});
    self->tell_readiness();
    self->nursery_.spawn(self->furnish(role));
    co_return ipc::Done{};
  }

  // Gives a role that has become ready its descriptors, and joins it to each peer that is ready
  // too.
  Task<void> furnish(std::string role) {
    const auto same = [](const net::Descriptor& fd) { return [&fd] { return copy_of(fd.get()); }; };
    if (ipc::role_of(role) == "gateway" || role == "vault") {
      // Without its table it takes everything for killed.
      joiner_.give(role, "kill-wake", [this, role] { return make_bell(role); });
      joiner_.give(role, "kill-table", [this] { return copy_of(table_->fd()); });
    }
    if (role == "control") {
      for (const char* name : {"control.sock", "admin.sock", "metrics.sock"}) {
        joiner_.give(role, name, [this, name] { return listen_at(path_of(name)); });
      }
    }
    ports_.furnish(role);
    access_log_.furnish(role);
    if (role == "sandboxd") {
      joiner_.give(role, "house-key", same(house_key_));
      joiner_.give(role, "wardens", same(wardens_));
    }
    if (role == "audit") {
      joiner_.connect(role, [this](net::Descriptor line) { scribe_.attach(std::move(line)); });
    }
    children_.at(role).furnished = true;
    for (auto& [name, child] : children_) {
      if (!child.furnished || name == role) continue;
      if (are_peers(children_.at(role), child)) joiner_.join(role, name);
    }
    co_return;
  }

  // A pair of sockets, of which the role gets one.
  Result<net::Descriptor> make_bell(const std::string& role) {
    std::array<int, 2> ends{-1, -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      return failure_from_errno(errno, "making a bell");
    }
    kill_bells_[role] = net::Descriptor(ends[0]);
    return net::Descriptor(ends[1]);
  }
  static Task<Result<ipc::Done>> join_again(Impl* self, std::string role, std::string peer) {
    CO_TRY(self->joiner_.join_again(role, peer));
    co_return ipc::Done{};
  }

  Task<void> tend(std::string name) {
    Child& child = children_.at(name);
    while (!co_await loop_.wait_readable(child.pidfd.get(), Deadline::never())) {
      co_await loop_.sleep_for(kLookAgain);  // no descriptor to wait with
    }
    siginfo_t info{};
    waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED);
    const pid_t pid = std::exchange(child.pid, -1);
    bury_orphans();
    log_error("a role ended; it is started again",
              {{"name", name},
               {"pid", pid},
               {info.si_code == CLD_EXITED ? "status" : "signal", info.si_status}});
    child.ready = false;
    child.furnished = false;
    child.channel.reset();
    tell("STATUS=" + name + " is away");
    if (!child.was_ready && info.si_code == CLD_EXITED && info.si_status == kWrongConfiguration) {
      refused_ = failure(Error::kInvalid,
                         name + " cannot start with this configuration; its last message says why");
      loop_.stop();
      co_return;
    }
    ++child.restarts;
    co_await start_again(name);
  }
  Task<void> start_again(std::string name) {
    Child& child = children_.at(name);
    const Nanos pause = child.back_off;
    child.back_off = std::min(child.back_off * 2, kBackOffMost);
    co_await loop_.sleep_for(pause);
    start(child);
  }

  // The house is ready when all its roles are, and stays it: what is away later is a status.
  void tell_readiness() {
    const bool all = std::all_of(children_.begin(), children_.end(),
                                 [](const auto& child) { return child.second.ready; });
    if (all) tell("READY=1\nSTATUS=all roles are ready");
  }
  void tell(const std::string& state) {
    if (const Result<void> told = notifier_.tell(state); !told) {
      log_warning("the service manager was not told", {{"why", told.error().message()}});
    }
  }

  // --- sockets, signals, the end

  [[nodiscard]] std::string path_of(std::string_view name) const {
    return fmt::format("{}/{}", settings_.run_directory, name);
  }

  Task<void> wait_for_signals() {
    while (true) {
      while (!co_await loop_.wait_readable(signals_.get(), Deadline::never())) {
        co_await loop_.sleep_for(kLookAgain);  // no descriptor to wait with
      }
      signalfd_siginfo signal{};
      if (::read(signals_.get(), &signal, sizeof signal) != ssize_t{sizeof signal}) continue;
      bury_orphans();
      if (signal.ssi_signo == SIGCHLD) continue;
      if (signal.ssi_signo == SIGHUP) {
        const std::string by = fmt::format("SIGHUP of uid {}", signal.ssi_uid);
        static_cast<void>(co_await reload(this, by));  // which logs what came of it
        continue;
      }
      if (is_stopping_) loop_.stop();  // told twice: at once
      if (!is_stopping_) nursery_.spawn(stop());
      is_stopping_ = true;
    }
  }
  // What the sandboxes' ends have to say is told while there are roles to hear it.
  Task<void> stop() {
    log_info("told to stop", {{"sandboxes", sandboxes_.all().size()}});
    tell("STOPPING=1");
    const auto ended = co_await sandboxes_.end_all(loop_.in(kStopMost));
    if (!ended) log_warning("not every sandbox has ended; their wardens end them");
    loop_.stop();
  }

  // Children that are no roles of ours: wardens and what they leave, whose parents have ended.
  void bury_orphans() {
    siginfo_t info{};
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
      const auto is_role = [&](const auto& item) { return item.second.pid == info.si_pid; };
      if (std::any_of(children_.begin(), children_.end(), is_role)) return;  // `tend` comes for it
      waitpid(info.si_pid, nullptr, WNOHANG);
      info = {};
    }
  }

  // Who sends what is on record out of the house ends behind those who write it, and who keeps the
  // log behind all of them. Neither is interrupted: what they had to say is on record then, and is
  // sent as far as somebody takes it.
  void end_children() {
    nursery_.cancel_all();
    joiner_.cancel_all();
    const std::array<const char*, 2> last = {"exporter", "audit"};
    const auto is_last = [&last](std::string_view name) {
      return std::ranges::find(last, name) != last.end();
    };
    for (auto& [name, child] : children_) {
      if (is_last(name)) continue;
      child.channel.reset();  // a role ends when its line to us ends
      if (child.pid > 0) kill(child.pid, SIGTERM);
    }
    for (auto& [name, child] : children_) {
      if (!is_last(name)) bury(name, child);
    }
    for (const char* name : last) {
      const auto found = children_.find(name);
      if (found == children_.end()) continue;
      found->second.channel.reset();
      bury(found->first, found->second);
    }
  }
  // Of a role that is told to end.
  static void bury(const std::string& name, const Child& child) {
    if (child.pid <= 0) return;
    int status = 0;
    if (!has_ended(child.pid, status, kEndMost)) {
      kill(child.pid, SIGKILL);
      static_cast<void>(has_ended(child.pid, status, kBuriedMost));
    }
    const bool in_order = (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                          || (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    if (in_order) return;
    log_error("a role did not end in order",
              {{"name", name},
               {"pid", child.pid},
               {WIFEXITED(status) ? "status" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status)}});
  }
  static bool has_ended(pid_t pid, int& status, Nanos most) {
    constexpr Nanos kLook = 10ms;
    for (Nanos waited{0}; waited < most; waited += kLook) {
      if (waitpid(pid, &status, WNOHANG) != 0) return true;
      usleep(static_cast<useconds_t>(std::chrono::ceil<std::chrono::microseconds>(kLook).count()));
    }
    return false;
  }

  net::Loop& loop_;
  Settings settings_;
  std::unique_ptr<net::FileSystem> files_;
  KillFile kill_file_;
  KillState killed_;
  std::unique_ptr<ipc::KillTableWriter> table_;
  net::Descriptor signals_;
  std::map<std::string, net::Descriptor> kill_bells_;  // by role
  std::map<std::uint32_t, ipc::Permits> people_;       // by who they are
  ipc::Permits control_;
  std::map<std::string, ipc::Permits> role_permits_;
  std::map<std::string, Child> children_;
  std::uint64_t kills_ = 0;
  std::uint64_t revivals_ = 0;
  Joiner joiner_;
  Ports ports_{joiner_, children_};
  AccessLog access_log_{joiner_, children_};
  Sandboxes sandboxes_;
  net::Descriptor house_key_;
  net::Descriptor wardens_;  // the listener that they knock at
  bool is_stopping_ = false;
  net::Turns reloads_{loop_};
  std::set<RunId> to_destroy_;  // killed so before their sandbox was registered, maybe
  Result<void> refused_;        // by a role that cannot start at all
  Scribe scribe_;
  Notifier notifier_;
  net::Nursery nursery_;
};

Supervisor::Supervisor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Supervisor::~Supervisor() = default;

Result<std::unique_ptr<Supervisor>> Supervisor::make(net::Loop& loop, Settings settings) {
  auto files = TRY(net::open_file_system(settings.run_directory));
  auto table = TRY(ipc::KillTableWriter::make());
  auto impl = std::make_unique<Impl>(loop, std::move(settings), std::move(files), std::move(table));
  TRY(impl->prepare());
  return std::unique_ptr<Supervisor>(new Supervisor(std::move(impl)));
}

Result<void> Supervisor::run() { return impl_->run(); }

}  // namespace gatehouse::supervisor
