// SPDX-License-Identifier: Apache-2.0
// Control's core: starts and ends Runs, tells the other roles what is in force, and answers the
// CLI. It talks to the other roles through Ports, so that it can be tested without processes. Of
// its Loop's thread. It never sees a person's secret: those pass sealed to the vault.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "audit/entry.h"
#include "control/changes.h"
#include "control/compile.h"
#include "control/store.h"
#include "ipc/any_audit.h"
#include "ipc/channel.h"
#include "ipc/cli_control.h"
#include "ipc/sandbox.h"
#include "ipc/supervisor.h"
#include "net/nursery.h"

namespace gatehouse::control {

// How control asks another role ("vault", "sandboxd", "audit", "gateway", "courier") or the
// supervisor.
class Ports {
 public:
  virtual ~Ports() = default;
  // Errors: kUnavailable while that role is away; what it refused with; kTimeout.
  [[nodiscard]] virtual net::Task<Result<ipc::Parcel>> ask(std::string role, ipc::Parcel request,
                                                           Deadline deadline) = 0;
  // The processes of that role which are there: "gateway", "gateway.1".
  [[nodiscard]] virtual std::vector<std::string> present(const std::string& role) = 0;
};

// The Runs without a sandbox, as far as the gateways must know of them.
class Outside {
 public:
  virtual ~Outside() = default;
  // The keys that their tokens are verified by.
  virtual void add_keys(ipc::Snapshot& snapshot) = 0;
  // Tells that gateway of each Run, and who the gateways are.
  [[nodiscard]] virtual net::Task<Result<void>> tell(std::string gateway) = 0;
};

class Control {
 public:
  // `boot` is the machine's boot_id. All must outlive it.
  Control(net::Loop& loop, StateStore& store, Ports& ports, std::string boot);

  // How those that dial reach the world, and the proxy's credentials for them: before serving.
  void use_network(ipc::NetworkSpec network, Secret proxy_authorization);
  // Who the gateways are to upstreams: before serving.
  void use_client_identities(std::vector<ipc::UseClientIdentity> identities) {
    client_identities_ = std::move(identities);
  }
  // The operator's prices; the built-in list stands behind them.
  void use_prices(std::vector<ipc::PriceSpec> prices) { prices_ = std::move(prices); }
  // Before serving: there may be Runs without a sandbox. It must outlive this.
  void let_in(Outside& outside) { outside_ = &outside; }
  // Before serving: puts the file in force and ends the Runs of an earlier boot. Errors: the
  // store's.
  [[nodiscard]] Result<Applied> begin(const Config& config);
  // What a file says of the house itself, beside what control puts in force.
  struct Settings {
    Secret proxy_authorization;
    std::vector<ipc::UseClientIdentity> client_identities;
    std::vector<std::string> changed;    // that the caller has
    std::function<void()> put_in_force;  // of the caller; with the objects or not at all
  };
  // Puts another file in force, with its network, or changes nothing; answers when the roles that
  // are there have it. `by` asked for it. Errors: the store's, as kConflict with what the admin API
  // made.
  [[nodiscard]] net::Task<Result<ipc::ConfigApplied>> reload(Config config, Settings settings,
                                                             std::string by);
  // A role has come (again): it is told what it must know.
  void arrived(const std::string& role);

  // Tells the roles what is in force now, and returns when those that are there have it.
  [[nodiscard]] net::Task<void> publish();
  // Puts an Entry on record. Errors: kAuditUnavailable, and what the audit role refused with.
  [[nodiscard]] net::Task<Result<void>> record(audit::Entry entry);
  // That somebody reads what was said in a Run. It is no part of its story.
  [[nodiscard]] net::Task<Result<void>> record_reading(std::string who, Run run);
  // A Run that is not begun. Errors: kNotFound for a user or an agent that is not there.
  [[nodiscard]] Result<Run> new_run(const std::string& tenant, const std::string& agent,
                                    const std::string& user);
  struct Begun {
    ipc::RunLive live;
    std::vector<std::string> environment;  // NAME=VALUE
  };
  using Tags = std::vector<std::pair<std::string, std::string>>;
  // Makes it live for the vault, on record with those tags, and in the store; whatever fails, it is
  // not. Errors: kKilled while everything is, kNotFound for a connection that its environment
  // needs, kAuditUnavailable.
  [[nodiscard]] net::Task<Result<Begun>> begin_run(Run run, std::vector<std::string> environment,
                                                   Tags tags);
  // From here on the vault leases for it, again if it forgot.
  [[nodiscard]] net::Task<Result<ipc::RunLive>> declare_live(Run run);
  // For the vault, the store, the record and, without a sandbox, the gateways. Errors: the store's.
  [[nodiscard]] net::Task<Result<void>> end_run(Run run, std::int32_t exit_status, std::string why);
  [[nodiscard]] std::vector<std::string> gateways() { return ports_.present("gateway"); }
  // Asks a role or the supervisor. Errors: as Ports::ask.
  template <class Request>
  [[nodiscard]] net::Task<Result<typename Request::Reply>> call(std::string role, Request request);

  // What the house's owner may ask on one connection (who that is was checked; it is put on
  // record), and what sandboxd may tell. What is returned must not outlive this.
  [[nodiscard]] ipc::Permits for_person(std::string who);
  [[nodiscard]] const ipc::Permits& for_sandboxd() const { return for_sandboxd_; }

 private:
  struct Starting;
  using Started = std::pair<ipc::RunStarted, std::vector<net::Descriptor>>;

  // Somebody on one connection.
  struct Person {
    std::string who;
    std::set<RunId> has_read;
  };
  template <class Request>
  void forward(ipc::Permits& permits, const std::string& role);

  net::Task<Result<ipc::Parcel>> ask(std::string role, ipc::Parcel request);
  net::Task<Result<Started>> start_run(ipc::StartRun request, std::string by);
  net::Task<void> start(std::shared_ptr<Starting> starting, ipc::StartRun request, std::string by);
  net::Task<Result<Started>> start_checked(Run run, ipc::StartRun request, std::string by);
  net::Task<Result<ipc::EntryPage>> read_run(ipc::ReadRun request, std::shared_ptr<Person> person);
  net::Task<Result<void>> record_act(std::string who, std::string act, std::string tenant,
                                     std::string object);
  net::Task<Result<Started>> create_sandbox(Run run, ipc::CreateSandbox create);
  net::Task<Result<ipc::Done>> sandbox_ended(ipc::SandboxEnded ended);
  using Taken = std::pair<ipc::StateTaken, std::vector<net::Descriptor>>;
  net::Task<Result<Taken>> take_state(ipc::TakeState request, std::string who);
  net::Task<Result<ipc::RunList>> list_runs(ipc::ListRuns request);
  net::Task<Result<ipc::ObjectList>> list_objects(ipc::ListObjects request);
  net::Task<Result<ipc::ServiceInfo>> describe(ipc::DescribeService request);
  net::Task<Result<ipc::Done>> put_sealed(ipc::PutSealed request, std::string who);
  net::Task<Result<ipc::AuthorizationStarted>> authorize(ipc::StartAuthorization request,
                                                         std::string who);
  net::Task<Result<ipc::ConnectionList>> connections(ipc::ListConnections request);
  net::Task<Result<ipc::Done>> disconnect(ipc::RemoveConnection request, std::string who);
  net::Task<void> tell(std::string role);
  net::Task<Result<void>> try_to_tell(std::string role);
  net::Task<Result<void>> tell_vault();
  net::Task<Result<void>> end_lost_runs();
  net::Task<Result<void>> tell_gateway(std::string name);
  net::Task<Result<ipc::CounterList>> counters();
  net::Task<Result<void>> tell_audit();
  net::Task<Result<void>> settle_owner(std::string tenant, std::string user, std::string service);

  // None where nothing changed.
  [[nodiscard]] Result<std::vector<audit::Entry>> entries_of_changes(const Applied& applied,
                                                                     const State& before,
                                                                     std::string_view by);
  [[nodiscard]] audit::Entry entry_of(audit::Kind kind, const Run& run);
  [[nodiscard]] audit::Entry entry_of_change(const Change& change);

  net::Loop& loop_;
  StateStore& store_;
  Ports& ports_;
  std::string boot_;
  ipc::NetworkSpec network_;
  std::vector<ipc::PriceSpec> prices_;
  // The secrets that pass here are the house's own.
  Secret proxy_authorization_;
  std::vector<ipc::UseClientIdentity> client_identities_;
  Outside* outside_ = nullptr;  // none are let in
  std::uint64_t generation_ = 0;
  std::set<RunId> making_;                // Runs whose sandbox is asked for, and not there yet
  std::vector<audit::Entry> unrecorded_;  // of the start, until the audit role is there
  ipc::Permits for_sandboxd_;
  net::Nursery nursery_;
};

template <class Request>
net::Task<Result<typename Request::Reply>> Control::call(std::string role, Request request) {
  const ipc::Parcel reply = CO_TRY(co_await ask(role, ipc::parcel_of(request)));
  if (reply.type != Request::Reply::kType) {
    co_return failure(Error::kUnavailable, role + " answered with a message of another type");
  }
  co_return ipc::decode<typename Request::Reply>(reply.payload);
}

}  // namespace gatehouse::control
