// SPDX-License-Identifier: Apache-2.0
#include "control/control.h"
#include "control/prices.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <csignal>
#include <iterator>

#include "base/log.h"
#include "control/environment.h"
#include "control/memory.h"
#include "ipc/supervisor.h"

namespace gatehouse::control {
namespace {

using net::Task;

constexpr Nanos kAnswerMost = std::chrono::seconds(30);
constexpr Nanos kTellAgain = std::chrono::seconds(1);
constexpr Nanos kCountersMost = std::chrono::seconds(1);
constexpr std::uint32_t kRunsMost = 500;       // a frame is 64 KiB
constexpr std::size_t kObjectsMost = 500;      // so is this
constexpr std::size_t kReadMost = 1000;        // Runs that a connection read, remembered
constexpr std::size_t kChangesShownMost = 50;  // in one Entry

Result<std::string> tenant_of_request(const State& state, const std::string& named) {
  const auto tenants = state.all<Tenant>();
  if (named.empty()) {
    if (tenants.size() == 1) return tenants.front()->name;
    return failure(Error::kInvalid, "there is more than one tenant; say which with --tenant");
  }
  if (state.find<Tenant>("", named) != nullptr) return named;
  return failure(Error::kNotFound, fmt::format("there is no tenant {}", named));
}

template <class T>
Result<T> found(const State& state, const std::string& tenant, const std::string& name) {
  const T* object = state.find<T>(tenant, name);
  if (object != nullptr) return *object;
  return failure(Error::kNotFound,
                 fmt::format("there is no {0} {1} in tenant {2}; `gatehouse objects {0}` lists "
                             "them, and gatehouse.yaml is where one is added",
                             text(T::kKind), name, tenant));
}

ipc::RunInfo info_of(const Run& run) {
  ipc::RunInfo info;
  info.run = run.id;
  info.trace = run.trace;
  info.tenant = run.tenant;
  info.user = run.user;
  info.agent = run.agent;
  info.started_unix_ms = run.started.unix_millis();
  info.ended_unix_ms = run.ended.unix_millis();
  info.exit_status = run.exit_status;
  info.attached = run.is_attached();
  return info;
}

ipc::CreateSandbox sandbox_of(const Run& run, const Agent& agent, ipc::RunLive live,
                              ipc::StartRun request, std::vector<std::string> environment) {
  ipc::CreateSandbox create;
  create.run = {run.id, run.trace, run.tenant, run.user, run.agent};
  create.placeholders = std::move(live.placeholders);
  create.ca_certificate_pem = std::move(live.ca_certificate_pem);
  create.argv = std::move(request.argv);
  create.environment = std::move(environment);
  create.volume = agent.volume;
  create.skeleton = agent.skeleton;
  for (const Toolbox& box : agent.toolbox) create.toolbox.push_back({box.source, box.target});
  create.read_only_files = agent.read_only;
  create.memory_most_bytes = agent.memory_most_bytes;
  create.pids_most = agent.pids_most;
  create.pty = request.pty;
  create.rows = request.rows;
  create.columns = request.columns;
  return create;
}

std::string connection_named(const std::string& service, const std::string& user) {
  return fmt::format("connection {} of {}", service, user.empty() ? "the tenant" : user);
}

void add_changes(audit::Entry& entry, std::string_view key, std::vector<std::string> names) {
  if (names.empty()) return;
  entry.add(fmt::format("{}.count", key), std::to_string(names.size()));
  names.resize(std::min(names.size(), kChangesShownMost));
  entry.add(key, fmt::format("{}", fmt::join(names, ", ")));
}

// Of each list in an answer, which is 64 KiB at most.
std::vector<std::string> first_of(std::vector<std::string> names) {
  constexpr std::size_t kNamesMost = 60;
  if (names.size() <= kNamesMost) return names;
  const std::size_t more = names.size() - kNamesMost;
  names.resize(kNamesMost);
  names.push_back(fmt::format("and {} more", more));
  return names;
}

// But for the trust anchors, which are no part of it.
bool is_same_proxy(ipc::NetworkSpec a, const ipc::NetworkSpec& b) {
  a.extra_ca_pem = b.extra_ca_pem;
  return a == b;
}

}  // namespace

// A start under way. It goes on when its asker leaves, so that nothing is left half made.
struct Control::Starting {
  explicit Starting(net::Loop& loop) : done(loop) {}
  net::Event done;
  std::optional<Result<Started>> result;
  bool abandoned = false;
};

Control::Control(net::Loop& loop, StateStore& store, Ports& ports, std::string boot)
    : loop_(loop), store_(store), ports_(ports), boot_(std::move(boot)), nursery_(loop) {
  for_sandboxd_.on<ipc::SandboxEnded>(
      [this](ipc::SandboxEnded ended, std::vector<net::Descriptor>) {
        return sandbox_ended(std::move(ended));
      });
}

ipc::Permits Control::for_person(std::string who) {
  using Fds = std::vector<net::Descriptor>;
  const auto person = std::make_shared<Person>(Person{std::move(who), {}});
  ipc::Permits permits;
  permits.on_with_fds<ipc::StartRun>([this, person](ipc::StartRun request, Fds) {
    return start_run(std::move(request), person->who);
  });
  permits.on<ipc::ListRuns>([this](ipc::ListRuns r, Fds) { return list_runs(r); });
  permits.on<ipc::ListObjects>(
      [this](ipc::ListObjects r, Fds) { return list_objects(std::move(r)); });
  permits.on<ipc::DescribeService>(
      [this](ipc::DescribeService r, Fds) { return describe(std::move(r)); });
  permits.on<ipc::PutSealed>(
      [this, person](ipc::PutSealed r, Fds) { return put_sealed(std::move(r), person->who); });
  permits.on<ipc::StartAuthorization>([this, person](ipc::StartAuthorization r, Fds) {
    return authorize(std::move(r), person->who);
  });
  permits.on<ipc::ListConnections>(
      [this](ipc::ListConnections r, Fds) { return connections(std::move(r)); });
  permits.on<ipc::RemoveConnection>([this, person](ipc::RemoveConnection r, Fds) {
    return disconnect(std::move(r), person->who);
  });
  permits.on<ipc::ReadRun>([this, person](ipc::ReadRun r, Fds) { return read_run(r, person); });
  permits.on_with_fds<ipc::TakeState>(
      [this, person](ipc::TakeState r, Fds) { return take_state(r, person->who); });
  permits.on<ipc::GetCounters>([this](ipc::GetCounters, Fds) { return counters(); });
  forward<ipc::GetPublicKey>(permits, "vault");
  forward<ipc::FinishAuthorization>(permits, "vault");
  forward<ipc::ReadBody>(permits, "audit");
  forward<ipc::FindTrace>(permits, "audit");
  return permits;
}

template <class Request>
void Control::forward(ipc::Permits& permits, const std::string& role) {
  permits.on<Request>([this, role](Request request, std::vector<net::Descriptor>) {
    return call(role, std::move(request));
  });
}

// The first page of a Run's story that a connection reads is put on record; the others are of the
// same reading.
Task<Result<ipc::EntryPage>> Control::read_run(ipc::ReadRun request,
                                               std::shared_ptr<Person> person) {
  if (!person->has_read.contains(request.run)) {
    Run run = store_.run(request.run).value_or(Run());
    run.id = request.run;
    CO_TRY(co_await record_reading(person->who, std::move(run)));
    if (person->has_read.size() >= kReadMost) person->has_read.clear();
    person->has_read.insert(request.run);
  }
  co_return co_await call("audit", request);
}

// On record before it is answered: the log, which a backup copies last, then has the Entry of
// whatever the state has, and of the backup.
Task<Result<Control::Taken>> Control::take_state(ipc::TakeState request, std::string who) {
  const std::string image = CO_TRY(store_.image());
  net::Descriptor memory = CO_TRY(sealed_memory("state", image));
  CO_TRY(co_await record_act(std::move(who), "backup", "",
                             request.with_key ? "the house, with its key" : "the house"));
  std::vector<net::Descriptor> given;
  given.push_back(std::move(memory));
  co_return Taken{ipc::StateTaken{image.size()}, std::move(given)};
}

// What somebody does to a connection, before it is done.
Task<Result<void>> Control::record_act(std::string who, std::string act, std::string tenant,
                                       std::string object) {
  audit::Entry entry = entry_of(audit::Kind::kAdministered, Run{});
  entry.run.reset();
  entry.tenant = std::move(tenant);
  entry.add("who", who);
  entry.add("act", act);
  entry.add("object", object);
  entry.add("outcome", "done");
  co_return co_await record(std::move(entry));
}

Task<Result<ipc::Parcel>> Control::ask(std::string role, ipc::Parcel request) {
  return ports_.ask(std::move(role), std::move(request), loop_.in(kAnswerMost));
}

void Control::use_network(ipc::NetworkSpec network, Secret proxy_authorization) {
  network_ = std::move(network);
  proxy_authorization_ = std::move(proxy_authorization);
}

Result<Applied> Control::begin(const Config& config) {
  const State before = TRY(store_.state());
  Applied applied = TRY(store_.apply_file(config));
  for (const Run& run : TRY(store_.live_runs())) {
    // What runs elsewhere outlives this machine's boot, as long as it is let in.
    if (run.is_attached() ? outside_ != nullptr : run.boot == boot_) continue;
    TRY(store_.end_run(run.id, loop_.wall(), 128 + SIGKILL));
    audit::Entry entry = entry_of(audit::Kind::kRunEnded, run);
    entry.add("reason", run.is_attached() ? "no agents outside of sandboxes are let in any more"
                                          : "the machine was restarted");
    unrecorded_.push_back(std::move(entry));
  }
  for (audit::Entry& entry : TRY(entries_of_changes(applied, before, ""))) {
    unrecorded_.push_back(std::move(entry));
  }
  return applied;
}

Result<std::vector<audit::Entry>> Control::entries_of_changes(const Applied& applied,
                                                              const State& before,
                                                              std::string_view by) {
  std::vector<audit::Entry> entries;
  if (applied.added.empty() && applied.changed.empty() && applied.removed.empty()) return entries;
  audit::Entry entry = entry_of(audit::Kind::kConfigChanged, Run{});
  entry.run.reset();
  if (!by.empty()) entry.add("by", by);
  add_changes(entry, "added", applied.added);
  add_changes(entry, "changed", applied.changed);
  add_changes(entry, "removed", applied.removed);
  entries.push_back(std::move(entry));
  for (const Change& change : changes_between(before, TRY(store_.state()))) {
    entries.push_back(entry_of_change(change));
  }
  return entries;
}

// What is under way goes on: a Snapshot is replaced whole, and each Exchange has its own.
Task<Result<ipc::ConfigApplied>> Control::reload(Config config, Settings settings, std::string by) {
  const State before = CO_TRY(store_.state());
  Applied applied = CO_TRY(store_.apply_file(config));
  if (config.network.spec.extra_ca_pem != network_.extra_ca_pem) {
    settings.changed.emplace_back("extra_ca");
  }
  if (!is_same_proxy(config.network.spec, network_)
      || !(settings.proxy_authorization == proxy_authorization_)) {
    settings.changed.emplace_back("upstream_proxy");
  }
  if (settings.client_identities != client_identities_) {
    settings.changed.emplace_back("client_certificate");
  }
  if (config.prices != prices_) settings.changed.emplace_back("prices");
  use_network(std::move(config.network.spec), std::move(settings.proxy_authorization));
  use_prices(std::move(config.prices));
  use_client_identities(std::move(settings.client_identities));
  settings.put_in_force();
  applied.changed.insert(applied.changed.end(), settings.changed.begin(), settings.changed.end());
  std::vector<audit::Entry> entries = CO_TRY(entries_of_changes(applied, before, by));
  if (!entries.empty()) co_await publish();
  for (audit::Entry& entry : entries) {
    if (!co_await record(entry)) unrecorded_.push_back(std::move(entry));
  }
  co_return ipc::ConfigApplied{first_of(applied.added),
                               first_of(applied.changed),
                               first_of(applied.removed),
                               applied.unchanged,
                               {}};
}

// Who wrote the file, the file does not say.
audit::Entry Control::entry_of_change(const Change& change) {
  audit::Entry entry = entry_of(audit::Kind::kAdministered, Run{});
  entry.run.reset();
  entry.tenant = change.tenant;
  entry.add("who", "gatehouse.yaml");
  entry.add("act", change.act);
  entry.add("object", change.object);
  if (!change.before.empty()) entry.add("before", change.before);
  if (!change.after.empty()) entry.add("after", change.after);
  entry.add("outcome", "done");
  return entry;
}

void Control::arrived(const std::string& role) { nursery_.spawn(tell(role)); }

Task<void> Control::publish() {
  for (const char* role : {"vault", "courier", "gateway"}) {
    for (const std::string& there : ports_.present(role)) {
      // In force when this returns; who cannot hear now is told later, and goes by the old until
      // then.
      if (!co_await try_to_tell(there)) arrived(there);
    }
  }
}

// Until it has heard, or is away: then it is told when it comes.
Task<void> Control::tell(std::string role) {
  while (true) {
    const Result<void> told = co_await try_to_tell(role);
    if (told) co_return;
    log_error("a role could not be told what is in force",
              {{"name", role}, {"why", told.error().message()}});
    co_await loop_.sleep_for(kTellAgain);
    const std::vector<std::string> there = ports_.present(std::string(ipc::role_of(role)));
    if (std::find(there.begin(), there.end(), role) == there.end()) co_return;
  }
}
Task<Result<void>> Control::try_to_tell(std::string role) {
  if (role == "vault") co_return co_await tell_vault();
  if (ipc::role_of(role) == "gateway") co_return co_await tell_gateway(role);
  if (role == "audit") co_return co_await tell_audit();
  if (role == "sandboxd") co_return co_await end_lost_runs();
  if (role == "courier") {
    ipc::PublishEndpoints endpoints = compiled_endpoints(CO_TRY(store_.state()));
    endpoints.network = network_;
    endpoints.proxy_authorization = proxy_authorization_.duplicate(Purpose::kTransport);
    CO_TRY(co_await call("courier", std::move(endpoints)));
  }
  co_return Result<void>();
}

Task<Result<void>> Control::tell_vault() {
  const State state = CO_TRY(store_.state());
  ipc::KeepServices keep;
  for (ipc::PublishService& publish : compiled_services(state)) {
    keep.services.push_back({publish.tenant, publish.name});
    CO_TRY(co_await call("vault", std::move(publish)));
  }
  CO_TRY(co_await call("vault", std::move(keep)));
  for (ipc::PublishInterceptable& publish : compiled_interceptable(state)) {
    CO_TRY(co_await call("vault", std::move(publish)));
  }
  for (const Run& run : CO_TRY(store_.live_runs())) {
    if (state.find<Agent>(run.tenant, run.agent) == nullptr) {
      continue;  // gone from the file: its Runs get no more leases
    }
    if (!CO_TRY(store_.run(run.id)).is_live()) continue;  // it ended while others were told
    CO_TRY(co_await declare_live(run));
  }
  co_return Result<void>();
}

// A sandbox outlives its sandboxd by its warden, which the new one adopts: what it does not have is
// over, and what is left of it is cleared away.
Task<Result<void>> Control::end_lost_runs() {
  std::vector<Run> expected = CO_TRY(store_.live_runs());
  std::erase_if(expected,
                [this](const Run& run) { return run.is_attached() || making_.contains(run.id); });
  const ipc::SandboxList there = CO_TRY(co_await call("sandboxd", ipc::ListSandboxes{}));
  for (const Run& run : expected) {
    if (!CO_TRY(store_.run(run.id)).is_live()) continue;  // it ended meanwhile
    if (std::find(there.runs.begin(), there.runs.end(), run.id) != there.runs.end()) continue;
    static_cast<void>(co_await call("sandboxd", ipc::EndSandbox{run.id}));
    CO_TRY(co_await end_run(run, 128 + SIGKILL, "its sandbox ended with an earlier gatehouse"));
  }
  co_return Result<void>();
}

// Of all gateways together.
Task<Result<ipc::CounterList>> Control::counters() {
  std::map<std::string, std::uint64_t> sums;
  for (const std::string& gateway : ports_.present("gateway")) {
    ipc::GetCounters ask;
    const auto reply = co_await ports_.ask(gateway, ipc::parcel_of(ask), loop_.in(kCountersMost));
    if (!reply) continue;  // one that does not answer is not waited for by who asks how it is
    const auto list = CO_TRY(ipc::decode<ipc::CounterList>(reply->payload));
    for (const ipc::Counter& counter : list.counters) {
      if (ipc::is_counter_name(counter.name)) sums[counter.name] += counter.value;
    }
  }
  ipc::CounterList all;
  for (const auto& [name, value] : sums) all.counters.push_back({name, value});
  co_return all;
}

Task<Result<void>> Control::tell_gateway(std::string name) {
  const State state = CO_TRY(store_.state());
  const auto now = static_cast<std::uint64_t>(loop_.wall().unix_millis());
  generation_ = std::max(generation_ + 1, now);  // grows over restarts too
  if (!proxy_authorization_.empty()) {
    ipc::UseProxyCredentials use{proxy_authorization_.duplicate(Purpose::kTransport),
                                 ipc::proxy_of(network_)};
    CO_TRY(co_await ports_.ask(name, ipc::parcel_of(use), loop_.in(kAnswerMost)));
  }
  for (ipc::UseClientIdentity& identity : client_identities_) {
    // One that is not good is missing there, and what needs it is refused.
    const auto taken = co_await ports_.ask(name, ipc::parcel_of(identity), loop_.in(kAnswerMost));
    if (taken) continue;
    log_error("a client certificate",
              {{"service", identity.service}, {"why", taken.error().message()}});
  }
  ipc::Snapshot snapshot = compiled_snapshot(state, generation_);
  snapshot.network = network_;
  snapshot.prices = prices_;
  std::ranges::copy(builtin_prices(), std::back_inserter(snapshot.prices));
  if (outside_ != nullptr) outside_->add_keys(snapshot);
  ipc::SnapshotReady ready{generation_};
  ipc::Parcel parcel = ipc::parcel_of(ready);
  parcel.fds.push_back(CO_TRY(sealed_memory("snapshot", ipc::encode(snapshot))));
  CO_TRY(co_await ports_.ask(name, std::move(parcel), loop_.in(kAnswerMost)));
  if (outside_ != nullptr) CO_TRY(co_await outside_->tell(name));
  co_return Result<void>();
}

Task<Result<void>> Control::tell_audit() {
  while (!unrecorded_.empty()) {
    CO_TRY(co_await record(unrecorded_.front()));
    unrecorded_.erase(unrecorded_.begin());
  }
  co_return Result<void>();
}

Task<Result<void>> Control::record(audit::Entry entry) {
  ipc::Append append{CO_TRY(audit::encode(entry))};
  CO_TRY(co_await call("audit", std::move(append)));
  co_return Result<void>();
}

Task<Result<void>> Control::record_reading(std::string who, Run run) {
  audit::Entry entry = entry_of(audit::Kind::kTranscriptRead, run);
  entry.run.reset();
  entry.add("who", who);
  entry.add("of", run.id.text());
  co_return co_await record(std::move(entry));
}

audit::Entry Control::entry_of(audit::Kind kind, const Run& run) {
  audit::Entry entry;
  entry.kind = kind;
  entry.wall_ns = loop_.wall().unix_nanos();
  entry.monotonic_ns = loop_.now().since_boot().count();
  entry.role = "control";
  entry.tenant = run.tenant;
  entry.run = run.id;
  entry.trace = run.trace;
  if (!run.agent.empty()) {
    entry.add("agent", run.agent);
    entry.add("user", run.user);
  }
  if (kind == audit::Kind::kRunEnded) {
    const std::int64_t took_ns = entry.wall_ns - run.started.unix_nanos();
    entry.add("duration_us", std::to_string(std::max<std::int64_t>(took_ns, 0) / 1000));
  }
  return entry;
}

// --- Runs

Task<Result<Control::Started>> Control::start_run(ipc::StartRun request, std::string by) {
  const auto starting = std::make_shared<Starting>(loop_);
  struct Asker {
    std::shared_ptr<Starting> of;
    ~Asker() { of->abandoned = !of->result; }
  } const asker{starting};
  nursery_.spawn(start(starting, std::move(request), std::move(by)));
  CO_TRY(co_await starting->done.wait(Deadline::never()));
  co_return *std::move(starting->result);
}

Task<void> Control::start(std::shared_ptr<Starting> starting, ipc::StartRun request,
                          std::string by) {
  Result<Started> result = failure(Error::kInternal, "the run was not started");
  const auto begin = [&]() -> Result<Run> {
    const State state = TRY(store_.state());
    const std::string tenant = TRY(tenant_of_request(state, request.tenant));
    Run run = TRY(new_run(tenant, request.agent, request.user));
    if (request.argv.empty()) request.argv = state.find<Agent>(tenant, run.agent)->command;
    if (request.argv.empty()) {
      return failure(
          Error::kInvalid,
          fmt::format("agent {} has no command of its own; give one after --", run.agent));
    }
    return run;
  }();
  RunId id = RunId::from_bytes({});
  TraceId trace;
  if (begin) {
    id = begin->id;
    trace = begin->trace;
    result = co_await start_checked(*begin, std::move(request), std::move(by));
  } else {
    result = Failure(begin.error());
  }
  const bool left = starting->abandoned && result;
  starting->result = std::move(result);
  starting->done.set();
  if (left) {
    log_info("a run ends, because its asker left before it began",
             {{"run", id.text()}, {"trace", trace.text()}});
    const auto ended = co_await call("sandboxd", ipc::EndSandbox{id});
    if (!ended) log_warning("ending it failed", {{"why", ended.error().message()}});
  }
}

Task<Result<Control::Started>> Control::start_checked(Run run, ipc::StartRun request,
                                                      std::string by) {
  Begun begun = CO_TRY(co_await begin_run(run, request.environment,
                                          {{"command", request.argv.front()},
                                           {"arguments", std::to_string(request.argv.size() - 1)},
                                           {"by", by}}));
  const Agent agent = CO_TRY(found<Agent>(CO_TRY(store_.state()), run.tenant, run.agent));
  co_return co_await create_sandbox(
      run, sandbox_of(run, agent, std::move(begun.live), std::move(request),
                      std::move(begun.environment)));
}

Result<Run> Control::new_run(const std::string& tenant, const std::string& agent,
                             const std::string& user) {
  const State state = TRY(store_.state());
  Run run;
  run.id = RunId::fresh();
  run.trace = TraceId::fresh();
  run.tenant = tenant;
  run.user = TRY(found<User>(state, tenant, user)).name;
  run.agent = TRY(found<Agent>(state, tenant, agent)).name;
  run.started = loop_.wall();
  run.boot = boot_;
  return run;
}

Task<Result<ipc::RunLive>> Control::declare_live(Run run) {
  const State state = CO_TRY(store_.state());
  const Agent agent = CO_TRY(found<Agent>(state, run.tenant, run.agent));
  co_return co_await call(
      "vault", ipc::DeclareRunLive{run.id, run.trace, run.tenant, run.user, run.agent,
                                   leasable_services(state, agent), agent.leases_per_second});
}

Task<Result<Control::Begun>> Control::begin_run(Run run, std::vector<std::string> asked,
                                                Tags tags) {
  const ipc::Status status = CO_TRY(co_await call("supervisor", ipc::GetStatus{}));
  if (status.all_killed) {
    co_return failure(Error::kKilled,
                      "everything is killed, so no run starts; `gatehouse revive --all` ends that");
  }
  if (!run.is_attached()) {
    if (!status.no_sandbox.empty()) co_return failure(Error::kUnsupported, status.no_sandbox);
    for (const std::string& missing : status.not_enforced)
      tags.emplace_back("not_enforced", missing);
  }
  Begun begun;
  begun.live = CO_TRY(co_await declare_live(run));
  const State state = CO_TRY(store_.state());
  auto environment = environment_of(state, run, CO_TRY(found<Agent>(state, run.tenant, run.agent)),
                                    begun.live.placeholders, asked);
  if (!environment) {
    static_cast<void>(co_await call("vault", ipc::DeclareRunEnded{run.id}));
    co_return Failure(environment.error());
  }
  begun.environment = *std::move(environment);
  audit::Entry entry = entry_of(audit::Kind::kRunStarted, run);
  for (const auto& [key, value] : tags) entry.add(key, value);
  Result<void> recorded = co_await record(std::move(entry));
  if (recorded) recorded = store_.start_run(run);
  if (!recorded) {
    static_cast<void>(co_await call("vault", ipc::DeclareRunEnded{run.id}));
    co_return failure(
        Error::kAuditUnavailable,
        "the run cannot be put on record, so it does not start: " + recorded.error().message());
  }
  co_return begun;
}

Task<Result<Control::Started>> Control::create_sandbox(Run run, ipc::CreateSandbox create) {
  const bool pty = create.pty;
  making_.insert(run.id);
  auto reply = co_await ports_.ask("sandboxd", ipc::parcel_of(create), loop_.in(kAnswerMost));
  making_.erase(run.id);
  if (!reply) {
    // What it did make, if anything, must not live on.
    static_cast<void>(co_await call("sandboxd", ipc::EndSandbox{run.id}));
    static_cast<void>(co_await end_run(run, 128 + SIGKILL, reply.error().message()));
    co_return Failure(reply.error().in("the sandbox was not made"));
  }
  auto created = CO_TRY(ipc::decode<ipc::SandboxCreated>(reply->payload));
  if (created.pty != pty) log_warning("the sandbox has another terminal than asked for");
  ipc::RunStarted started{run.id, run.trace, created.pty, std::move(created.not_enforced)};
  co_return Started(std::move(started), std::move(reply->fds));
}

Task<Result<ipc::Done>> Control::sandbox_ended(ipc::SandboxEnded ended) {
  const Run run = CO_TRY(store_.run(ended.run));
  if (run.is_live()) CO_TRY(co_await end_run(run, ended.exit_status, ""));
  co_return ipc::Done{};
}

Task<Result<void>> Control::end_run(Run run, std::int32_t exit_status, std::string why) {
  CO_TRY(store_.end_run(run.id, loop_.wall(), exit_status));
  const auto told = co_await call("vault", ipc::DeclareRunEnded{run.id});
  if (!told) {
    log_warning(
        "the vault was not told that a run ended",
        {{"run", run.id.text()}, {"trace", run.trace.text()}, {"why", told.error().message()}});
  }
  if (run.is_attached()) {
    for (const std::string& gateway : gateways()) {
      // One that cannot hear now is told later what there is.
      if (!co_await call(gateway, ipc::CloseAttachment{run.id})) arrived(gateway);
    }
  }
  audit::Entry entry = entry_of(audit::Kind::kRunEnded, run);
  entry.add("exit_status", std::to_string(exit_status));
  if (!why.empty()) entry.add("reason", why);
  Result<void> recorded = co_await record(entry);
  if (!recorded) unrecorded_.push_back(std::move(entry));
  co_return Result<void>();
}

Task<Result<ipc::RunList>> Control::list_runs(ipc::ListRuns request) {
  ipc::RunList list;
  const auto house = co_await call("supervisor", ipc::GetStatus{});
  if (house) list.not_enforced = house->not_enforced;
  for (const Run& run : CO_TRY(store_.runs(std::min(request.most, kRunsMost)))) {
    list.runs.push_back(info_of(run));
  }
  co_return list;
}

Task<Result<ipc::ObjectList>> Control::list_objects(ipc::ListObjects request) {
  const auto kind = kind_named(request.kind);
  if (!request.kind.empty() && !kind) {
    co_return failure(
        Error::kInvalid,
        fmt::format("there are no objects of kind \"{}\"; there are tenant, user, group, "
                    "account, issuer, binding, service, agent and rule",
                    request.kind));
  }
  ipc::ObjectList list;
  for (const Stored& stored : CO_TRY(store_.state()).objects) {
    if (kind && kind_of(stored.object) != *kind) continue;
    if (list.objects.size() >= kObjectsMost) {
      co_return failure(
          Error::kTooMany,
          fmt::format("there are more than {} objects; ask for one kind", kObjectsMost));
    }
    list.objects.push_back({std::string(text(kind_of(stored.object))), tenant_of(stored.object),
                            name_of(stored.object), std::string(text(stored.source))});
  }
  co_return list;
}

// --- Connections

Task<Result<ipc::ServiceInfo>> Control::describe(ipc::DescribeService request) {
  const State state = CO_TRY(store_.state());
  ipc::ServiceInfo info;
  info.tenant = CO_TRY(tenant_of_request(state, request.tenant));
  const auto service = CO_TRY(found<Service>(state, info.tenant, request.name));
  info.name = service.name;
  info.has_credential = service.credential.has_value();
  const bool oauth = service.credential && service.credential->kind == "oauth";
  info.kind = oauth ? ipc::CredentialKind::kOauth : ipc::CredentialKind::kStatic;
  info.shared = service.shared;
  co_return info;
}

// Whether that user (or, with "", the tenant) may own a Connection to the service.
Task<Result<void>> Control::settle_owner(std::string tenant, std::string user,
                                         std::string service_name) {
  const State state = CO_TRY(store_.state());
  const auto service = CO_TRY(found<Service>(state, tenant, service_name));
  if (!service.credential) {
    co_return failure(Error::kInvalid, fmt::format("service {} needs no credential", service_name));
  }
  if (service.shared != user.empty()) {
    co_return failure(Error::kInvalid,
                      service.shared
                          ? fmt::format("{} has one connection for the whole tenant (scope: "
                                        "tenant); leave out --user",
                                        service_name)
                          : fmt::format("{} has a connection for each user; say whose with --user",
                                        service_name));
  }
  if (!user.empty()) CO_TRY(found<User>(state, tenant, user));
  co_return Result<void>();
}

Task<Result<ipc::Done>> Control::put_sealed(ipc::PutSealed request, std::string who) {
  const State state = CO_TRY(store_.state());
  request.tenant = CO_TRY(tenant_of_request(state, request.tenant));
  if (request.kind == ipc::CredentialKind::kOauthClientSecret) {
    const auto service = CO_TRY(found<Service>(state, request.tenant, request.service));
    if (!request.user.empty() || !service.credential || service.credential->kind != "oauth") {
      co_return failure(Error::kInvalid,
                        "a client secret belongs to a service with an oauth credential, "
                        "and to no user");
    }
  } else {
    CO_TRY(co_await settle_owner(request.tenant, request.user, request.service));
  }
  CO_TRY(co_await record_act(std::move(who), "connect", request.tenant,
                             connection_named(request.service, request.user)));
  co_return co_await call("vault", std::move(request));
}

Task<Result<ipc::AuthorizationStarted>> Control::authorize(ipc::StartAuthorization request,
                                                           std::string who) {
  const State state = CO_TRY(store_.state());
  request.tenant = CO_TRY(tenant_of_request(state, request.tenant));
  CO_TRY(co_await settle_owner(request.tenant, request.user, request.service));
  CO_TRY(co_await record_act(std::move(who), "authorize", request.tenant,
                             connection_named(request.service, request.user)));
  co_return co_await call("vault", std::move(request));
}

Task<Result<ipc::ConnectionList>> Control::connections(ipc::ListConnections request) {
  const State state = CO_TRY(store_.state());
  request.tenant = CO_TRY(tenant_of_request(state, request.tenant));
  co_return co_await call("vault", std::move(request));
}

Task<Result<ipc::Done>> Control::disconnect(ipc::RemoveConnection request, std::string who) {
  const State state = CO_TRY(store_.state());
  request.tenant = CO_TRY(tenant_of_request(state, request.tenant));
  CO_TRY(co_await record_act(std::move(who), "disconnect", request.tenant,
                             connection_named(request.service, request.user)));
  co_return co_await call("vault", std::move(request));
}

}  // namespace gatehouse::control
