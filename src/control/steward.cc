// SPDX-License-Identifier: Apache-2.0
#include "control/steward.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "audit/entry.h"
#include "base/encoding.h"
#include "base/log.h"
#include "control/compile.h"
#include "ipc/any_audit.h"

namespace gatehouse::control {
namespace {

using net::Task;

constexpr Nanos kTellMost = std::chrono::seconds(5);
constexpr Nanos kBuildMost = std::chrono::seconds(30);
constexpr Nanos kForwardMost = std::chrono::seconds(30);

ipc::DeclareRunLive declaration_of(const Run& run, std::vector<std::string> services) {
  ipc::DeclareRunLive declare;
  declare.run = run.id;
  declare.trace = run.trace;
  declare.tenant = run.tenant;
  declare.user = run.user;
  declare.agent = run.agent;
  declare.services = std::move(services);
  return declare;
}

// The tenant that a request means: the one it names, or the only one there is.
Result<std::string> tenant_meant(const State& state, const std::string& named) {
  if (!named.empty()) return named;
  const auto tenants = state.all<Tenant>();
  if (tenants.size() == 1) return tenants.front()->name;
  return failure(Error::kInvalid, "there is more than one tenant; say which with --tenant");
}

void warn(std::string_view what, const Error& error) {
  log_warning(what, {{"why", error.message()}});
}

}  // namespace

Steward::Steward(ipc::Role& role, StateStore& store)
    : role_(role), store_(store), tasks_(role.loop()) {}

void Steward::serve() {
  sandboxd_.on<ipc::SandboxEnded>([this](ipc::SandboxEnded request, std::vector<net::Descriptor>) {
    return sandbox_ended(request);
  });
  role_.serve("sandboxd", sandboxd_);
  for (const char* peer : {"vault", "courier", "gateway", "audit"}) role_.serve(peer, nothing_);
  role_.on_peer("vault", [this](ipc::Channel& vault) { tasks_.spawn(furnish_vault(&vault)); });
  role_.on_peer("courier", [this](ipc::Channel& peer) { tasks_.spawn(furnish_courier(&peer)); });
  role_.on_peer("gateway", [this](ipc::Channel& peer) { tasks_.spawn(furnish_gateway(&peer)); });

  people_.on_with_fds<ipc::StartRun>([this](ipc::StartRun request, std::vector<net::Descriptor>) {
    return start_run(std::move(request));
  });
  people_.on<ipc::ListRuns>([this](ipc::ListRuns request, std::vector<net::Descriptor>) {
    return list_runs(std::min(request.most, 500U));
  });
  people_.on<ipc::ListObjects>([this](ipc::ListObjects request, std::vector<net::Descriptor>) {
    return list_objects(std::move(request.kind));
  });
  people_.on<ipc::DescribeService>(
      [this](ipc::DescribeService request, std::vector<net::Descriptor>) {
        return describe(std::move(request));
      });
  forward<ipc::GetPublicKey>("vault");
  forward<ipc::PutSealed>("vault");
  forward<ipc::StartAuthorization>("vault");
  forward<ipc::FinishAuthorization>("vault");
  forward<ipc::ListConnections>("vault");
  forward<ipc::RemoveConnection>("vault");
  forward<ipc::ReadRun>("audit");
  forward<ipc::ReadBody>("audit");
}

template <class Request>
void Steward::forward(std::string to) {
  people_.on<Request>([this, to](Request request, std::vector<net::Descriptor>) {
    return role_.call(to, std::move(request), role_.loop().in(kForwardMost));
  });
}

void Steward::listen(std::unique_ptr<net::Listener> listener, std::uint32_t owner_uid) {
  tasks_.spawn(accept_people(std::move(listener), owner_uid));
}

Task<void> Steward::accept_people(std::unique_ptr<net::Listener> listener,
                                  std::uint32_t owner_uid) {
  std::vector<std::unique_ptr<ipc::Channel>> open;
  while (true) {
    auto stream = co_await listener->accept(Deadline::never());
    if (!stream) {
      co_await role_.loop().sleep_for(100ms);
      continue;
    }
    std::erase_if(open, [](const auto& channel) { return !channel->is_open(); });
    const Result<std::uint32_t> uid = net::peer_uid(**stream);
    if (!uid || (*uid != 0 && *uid != owner_uid)) {
      log_warning("a stranger at control's socket is turned away", {{"uid", uid.value_or(0)}});
      continue;
    }
    open.push_back(std::make_unique<ipc::Channel>(role_.loop(), net::as_local(std::move(*stream)),
                                                  "person", people_));
  }
}

// --- what the others must know

Task<void> Steward::furnish_vault(ipc::Channel* vault) {
  const auto state = store_.state();
  if (!state) co_return warn("the state cannot be read", state.error());
  const auto tell = [&](auto message) {
    return vault->call(std::move(message), role_.loop().in(kTellMost));
  };
  for (ipc::PublishService& service : compiled_services(*state)) {
    if (const auto told = co_await tell(std::move(service)); !told) {
      warn("the vault did not take a service", told.error());
    }
  }
  for (ipc::PublishInterceptable& hosts : compiled_interceptable(*state)) {
    if (const auto told = co_await tell(std::move(hosts)); !told) {
      warn("the vault did not take the intercepted hosts", told.error());
    }
  }
  const auto live = store_.live_runs();
  if (!live) co_return;
  for (const Run& run : *live) {
    const Agent* agent = state->find<Agent>(run.tenant, run.agent);
    if (agent == nullptr) continue;
    const auto told = co_await tell(declaration_of(run, leasable_services(*state, *agent)));
    if (!told) warn("the vault did not take a live run", told.error());
  }
}

Task<void> Steward::furnish_courier(ipc::Channel* courier) {
  const auto state = store_.state();
  if (!state) co_return warn("the state cannot be read", state.error());
  const auto told = co_await courier->call(compiled_endpoints(*state), role_.loop().in(kTellMost));
  if (!told) warn("the courier did not take its endpoints", told.error());
}

Task<void> Steward::furnish_gateway(ipc::Channel* gateway) {
  const auto state = store_.state();
  if (!state) co_return warn("the state cannot be read", state.error());
  ipc::Snapshot snapshot = compiled_snapshot(*state, generation_);
  const std::string bytes = ipc::encode(snapshot);
  const net::Descriptor memory(memfd_create("gatehouse-snapshot", MFD_CLOEXEC));
  if (::write(memory.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    co_return log_error("the snapshot cannot be written");
  }
  ipc::SnapshotReady ready{generation_};
  const std::array<int, 1> fds = {memory.get()};
  const auto told =
      co_await gateway->exchange(ipc::parcel_of(ready), fds, role_.loop().in(kTellMost));
  if (!told) warn("the gateway did not take the rules", told.error());
}

// --- Runs

Task<Result<void>> Steward::note(const Run& run, bool ended, std::int32_t status) {
  audit::Entry entry;
  entry.kind = ended ? audit::Kind::kRunEnded : audit::Kind::kRunStarted;
  entry.wall_ns = role_.loop().wall().unix_nanos();
  entry.monotonic_ns = role_.loop().now().since_boot().count();
  entry.role = "control";
  entry.tenant = run.tenant;
  entry.run = run.id;
  entry.trace = run.trace;
  entry.add("agent", run.agent);
  entry.add("user", run.user);
  if (ended) entry.add("status", std::to_string(status));
  const std::string bytes = CO_TRY(audit::encode(entry));
  CO_TRY(co_await role_.call("audit", ipc::Append{bytes}, role_.loop().in(kTellMost)));
  co_return Result<void>();
}

Task<Result<Steward::Started>> Steward::start_run(ipc::StartRun request) {
  const State state = CO_TRY(store_.state());
  const std::string tenant = CO_TRY(tenant_meant(state, request.tenant));
  const Agent* agent = state.find<Agent>(tenant, request.agent);
  if (agent == nullptr) {
    co_return failure(
        Error::kNotFound,
        fmt::format("no agent \"{}\"; `gatehouse ls agent` lists them", printable(request.agent)));
  }
  if (state.find<User>(tenant, request.user) == nullptr) {
    co_return failure(
        Error::kNotFound,
        fmt::format("no user \"{}\"; `gatehouse ls user` lists them", printable(request.user)));
  }
  Run run;
  run.id = RunId::fresh();
  run.trace = TraceId::fresh();
  run.tenant = tenant;
  run.user = request.user;
  run.agent = request.agent;
  run.started = role_.loop().wall();
  const Agent copy = *agent;
  const auto live = CO_TRY(co_await role_.call(
      "vault", declaration_of(run, leasable_services(state, copy)), role_.loop().in(kTellMost)));
  CO_TRY(store_.start_run(run));
  ipc::CreateSandbox create;
  create.run = {run.id, run.trace, run.tenant, run.user, run.agent};
  create.placeholders = live.placeholders;
  create.ca_certificate_pem = live.ca_certificate_pem;
  create.argv = request.argv.empty() ? copy.command : request.argv;
  for (const auto& [name, value] : copy.environment)
    create.environment.push_back(name + "=" + value);
  for (std::string& item : request.environment) create.environment.push_back(std::move(item));
  for (const Toolbox& tool : copy.toolbox) create.toolbox.push_back({tool.source, tool.target});
  create.read_only_files = copy.read_only;
  create.volume = copy.volume;
  create.memory_most_bytes = copy.memory_most_bytes;
  create.pids_most = copy.pids_most;
  create.pty = request.pty;
  create.rows = request.rows;
  create.columns = request.columns;
  Result<ipc::Parcel> built = failure(Error::kUnavailable, "sandboxd is away; try again");
  // On record before the sandbox's first instruction.
  const Result<void> noted = co_await note(run, false, 0);
  if (!noted) {
    built = Failure(noted.error());
  } else if (ipc::Channel* sandboxd = role_.peer("sandboxd"); sandboxd != nullptr) {
    built = co_await sandboxd->exchange(ipc::parcel_of(create), {}, role_.loop().in(kBuildMost));
  }
  if (!built) {
    co_await finish(run, 70);
    co_return Failure(built.error());
  }
  const auto about = CO_TRY(ipc::decode<ipc::SandboxCreated>(built->payload));
  ipc::RunStarted started;
  started.run = run.id;
  started.trace = run.trace;
  started.pty = about.pty;
  started.not_enforced = about.not_enforced;
  co_return Started(std::move(started), std::move(built->fds));
}

Task<Result<ipc::Done>> Steward::sandbox_ended(ipc::SandboxEnded request) {
  const Run run = CO_TRY(store_.run(request.run));
  co_await finish(run, request.wait_status);
  co_return ipc::Done{};
}

// Everything that a Run's end takes, whatever of it is away.
Task<void> Steward::finish(Run run, std::int32_t status) {
  ipc::DeclareRunEnded ended;
  ended.run = run.id;
  if (const auto told = co_await role_.call("vault", ended, role_.loop().in(kTellMost)); !told) {
    warn("the vault did not hear of a run's end", told.error());
  }
  if (const auto noted = co_await note(run, true, status); !noted) {
    warn("a run's end is not on record", noted.error());
  }
  if (const auto stored = store_.end_run(run.id, role_.loop().wall(), status); !stored) {
    warn("a run's end is not stored", stored.error());
  }
}

Task<Result<ipc::RunList>> Steward::list_runs(std::uint32_t most) {
  ipc::RunList list;
  for (const Run& run : CO_TRY(store_.runs(most))) {
    list.runs.push_back({run.id, run.trace, run.tenant, run.user, run.agent,
                         run.started.unix_millis(), run.ended.unix_millis(), run.wait_status});
  }
  co_return list;
}

Task<Result<ipc::ObjectList>> Steward::list_objects(std::string kind) {
  ipc::ObjectList list;
  for (const Stored& stored : CO_TRY(store_.state()).objects) {
    const std::string_view name = text(kind_of(stored.object));
    if (!kind.empty() && kind != name) continue;
    list.objects.push_back({std::string(name), tenant_of(stored.object), name_of(stored.object),
                            std::string(text(stored.source))});
  }
  co_return list;
}

Task<Result<ipc::ServiceInfo>> Steward::describe(ipc::DescribeService request) {
  const State state = CO_TRY(store_.state());
  const std::string tenant = CO_TRY(tenant_meant(state, request.tenant));
  const Service* service = state.find<Service>(tenant, request.name);
  if (service == nullptr) {
    co_return failure(Error::kNotFound,
                      fmt::format("no service \"{}\"; `gatehouse ls service` lists them",
                                  printable(request.name)));
  }
  ipc::ServiceInfo info;
  info.tenant = tenant;
  info.name = service->name;
  info.has_credential = service->credential.has_value();
  info.kind = service->credential && service->credential->kind == "oauth"
                  ? ipc::CredentialKind::kOauth
                  : ipc::CredentialKind::kStatic;
  info.shared = service->shared;
  co_return info;
}

}  // namespace gatehouse::control
