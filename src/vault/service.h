// SPDX-License-Identifier: Apache-2.0
// The vault role's core. It does not believe the gateway: it leases only for Runs that control has
// declared live, only at services that were declared with them and bound to the host asked for, at
// a bounded rate, and writes its own Entry of every use before the value leaves.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "ipc/channel.h"
#include "ipc/control_gateway.h"
#include "ipc/control_vault.h"
#include "ipc/gateway_vault.h"
#include "ipc/vault_courier.h"
#include "net/nursery.h"
#include "vault/authority.h"
#include "vault/oauth.h"
#include "vault/store.h"

namespace gatehouse::vault {

// One use of a credential, for the log. Never a byte of it: a fingerprint that only the vault can
// make.
struct Use {
  RunId run = ipc::no_run();
  TraceId trace;
  ExchangeId exchange = ipc::no_exchange();
  std::string tenant;
  std::string user;
  std::string service;
  std::string host;
  std::string method;
  std::string path;
  LeaseId lease = ipc::no_lease();
  std::string fingerprint;
  std::string what;  // "lease", "leaf", "refresh", "refresh-failed", "stored", "connected",
                     // "removed", "refused"
};

// What the vault needs of other roles.
class Ports {
 public:
  virtual ~Ports() = default;
  // On its way when it returns, where it outlives this process.
  [[nodiscard]] virtual net::Task<Result<void>> record(Use use) = 0;
  [[nodiscard]] virtual net::Task<Result<ipc::Posted>> post(ipc::Post request,
                                                            Deadline deadline) = 0;
  // By the kill table, which no gateway can keep from the vault.
  [[nodiscard]] virtual bool is_killed(const RunId& run) = 0;
};

class Service {
 public:
  Service(net::Loop& loop, Store& store, const Sealer& sealer, Ports& ports);

  // Makes or opens the key that sealed submissions are addressed to. Errors: the store's.
  [[nodiscard]] Result<void> open_inbox();

  // gateway_vault.h
  // `holder` names the gateway that asks; its leases end with it.
  [[nodiscard]] net::Task<Result<ipc::Leased>> lease(ipc::Lease request, std::string holder);
  [[nodiscard]] net::Task<Result<ipc::Done>> end_leases(ipc::EndLeases request);
  [[nodiscard]] net::Task<Result<ipc::KnownValues>> known(ipc::Known request);
  [[nodiscard]] net::Task<Result<ipc::LeafIssued>> leaf(ipc::Leaf request);
  // control_vault.h
  [[nodiscard]] net::Task<Result<ipc::VaultPublicKey>> public_key();
  [[nodiscard]] net::Task<Result<ipc::Done>> publish(ipc::PublishService request);
  [[nodiscard]] net::Task<Result<ipc::Done>> publish(ipc::PublishInterceptable request);
  [[nodiscard]] net::Task<Result<ipc::Done>> keep(ipc::KeepServices request);
  [[nodiscard]] net::Task<Result<ipc::Done>> put(ipc::PutSealed request);
  [[nodiscard]] net::Task<Result<ipc::AuthorizationStarted>> start(ipc::StartAuthorization request);
  [[nodiscard]] net::Task<Result<ipc::Done>> finish(ipc::FinishAuthorization request);
  [[nodiscard]] net::Task<Result<ipc::ConnectionList>> list(ipc::ListConnections request);
  [[nodiscard]] net::Task<Result<ipc::Done>> remove(ipc::RemoveConnection request);
  [[nodiscard]] net::Task<Result<ipc::RunLive>> declare_live(ipc::DeclareRunLive request);
  [[nodiscard]] net::Task<Result<ipc::Done>> declare_ended(ipc::DeclareRunEnded request);

  // A kill: the leases of what is killed end. Returns how many.
  std::size_t end_killed();
  // That gateway is gone, and its Exchanges with it. Returns how many leases ended.
  std::size_t end_leases_of(std::string_view holder);

  // What was done since it began, by Use::what, and what there is now.
  [[nodiscard]] ipc::CounterList counters() const;
  [[nodiscard]] std::size_t live_leases() const { return leases_.size(); }

 private:
  struct LiveRun {
    ipc::DeclareRunLive about;
    std::vector<ipc::Placeholder> placeholders;
    struct Value {
      std::string service;
      Secret value;
      std::string fingerprint;
    };
    std::vector<Value> leased;  // each once, the newest first
    double allowance = 0;       // leases that may be taken now
    Instant refilled;
  };
  struct Pending {  // an authorization that a person is in the middle of
    ipc::StartAuthorization about;
    Secret verifier;
    Instant until;
  };
  struct LiveLease {
    RunId run;
    std::string service;
    std::uint64_t generation = 0;  // of the tokens it was taken from
    std::string holder;
  };
  // A connection's tokens, opened, with the one refresh that may be under way.
  struct Opened {
    explicit Opened(net::Loop& loop) : refreshed(loop) {}
    Tokens tokens;
    bool refreshing = false;
    std::optional<Error> failed;   // the last flight
    std::uint64_t generation = 0;  // of successful refreshes
    // The access token's end: by the clock that nobody sets, so that a wall clock which is set
    // wrong neither keeps a token that has ended nor renews one that has not.
    std::optional<Instant> access_ends;
    Instant may_renew;  // before this, a 401 does not make it renew again
    net::Event refreshed;
  };

  net::Task<Result<void>> record(Use use);
  net::Task<Result<ipc::Leased>> checked_lease(ipc::Lease request, std::string holder);
  Result<LiveRun*> live_run(const RunId& run);
  // What it was leased towards any of those hosts; at most what one message carries.
  [[nodiscard]] std::vector<Secret> leased_to(const LiveRun& run,
                                              const std::vector<std::string>& hosts) const;
  // The signature of the one request that a gateway asks it for. Errors: kLeaseRefused when the
  // request is another than it says, for another host, or not of now.
  [[nodiscard]] Result<Secret> signature(const ipc::PublishService& service, const Secret& key_pair,
                                         const ipc::Lease& asked) const;
  // Puts the value at the front of what the Run was leased.
  LiveRun::Value& remember(LiveRun& run, const std::string& service, const Secret& value) const;
  Result<const ipc::PublishService*> service_of(std::string_view tenant,
                                                std::string_view name) const;
  Result<std::string> owner_of(const ipc::DeclareRunLive& run,
                               const ipc::PublishService& service) const;
  [[nodiscard]] bool has_connection(std::string_view tenant, std::string_view user,
                                    const ipc::PublishService& service) const;
  Result<Secret> unseal(std::string_view sealed) const;
  Result<Authority> authority_of(const std::string& tenant);
  struct Asking {
    std::optional<std::uint64_t> rejected;  // the generation of tokens that an upstream refused
    RunId run;                              // that asks
    TraceId trace;
  };
  net::Task<Result<std::shared_ptr<Opened>>> with_valid_token(RecordKey key,
                                                              const ipc::PublishService& service,
                                                              Asking asking);
  net::Task<void> note(Use use);
  // Belongs to no asker: one that leaves takes no rotated token with it.
  net::Task<void> fly(RecordKey key, std::shared_ptr<Opened> connection,
                      ipc::PublishService service, Asking asking);
  net::Task<Result<void>> refresh(RecordKey key, std::shared_ptr<Opened> opened,
                                  ipc::PublishService service, std::string traceparent);
  net::Task<Result<void>> revoke(Opened& connection, const ipc::PublishService& service);
  Result<std::shared_ptr<Opened>> opened(const RecordKey& key);
  // Whether the connection is still the one that was opened: it may be removed or made anew while
  // something is under way.
  [[nodiscard]] bool is_current(const RecordKey& key, const std::shared_ptr<Opened>& opened) const;
  [[nodiscard]] std::optional<std::uint64_t> rejected_generation(const ipc::Lease& request) const;
  Result<std::optional<ClientSecret>> client_secret(const ipc::PublishService& service);

  net::Loop& loop_;
  Store& store_;
  const Sealer& sealer_;
  Ports& ports_;
  std::string public_key_;
  Secret private_key_;
  std::map<std::pair<std::string, std::string>, ipc::PublishService> services_;
  std::map<std::string, std::vector<std::string>> interceptable_;
  std::map<RunId, LiveRun> runs_;
  std::map<LeaseId, LiveLease> leases_;
  std::map<std::string, Pending> pending_;
  std::map<RecordKey, std::shared_ptr<Opened>> opened_;
  std::map<RecordKey, Secret> statics_;
  Instant refusals_since_;  // the second in which refusals are counted now
  std::uint32_t refusals_ = 0;
  std::map<std::string, std::uint64_t> uses_;  // by Use::what, since this process began
  net::Nursery flights_;                       // last: its tasks use all the rest
};

// Separate tables: a gateway's connection can do no more than these four, and what it leases is
// held in its name.
void permit_gateway(ipc::Permits& permits, Service& service, const std::string& name);
void permit_control(ipc::Permits& permits, Service& service);

}  // namespace gatehouse::vault
