// SPDX-License-Identifier: Apache-2.0
#include "vault/service.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"
#include "base/random.h"
#include "ipc/counters.h"
#include "wire/sigv4.h"
#include "wire/trace.h"

namespace gatehouse::vault {
namespace {

using net::Task;

constexpr double kLeasesPerSecond = 500;  // per Run, unless its agent has another figure
constexpr double kBurstSeconds = 4;
constexpr std::size_t kLeasesMost = 100'000;
constexpr std::int64_t kSignedMost_s = 300;  // between the date of a request and now
constexpr std::size_t kRememberedMost = 24;  // tokens are renewed by the hour: these are a day's
constexpr std::size_t kKnownBytesMost = 40 * 1024;  // beside a lease in one message
constexpr std::uint32_t kRefusalsPerSecond = 20;    // that get an Entry
constexpr std::size_t kPendingMost = 1000;
constexpr Nanos kPendingFor = std::chrono::minutes(10);
constexpr Nanos kCourierMost = std::chrono::seconds(20);
constexpr Nanos kRenewalRest = std::chrono::seconds(30);       // between two that a 401 asked for
constexpr Nanos kFailedRenewalRest = std::chrono::seconds(5);  // after one that brought nothing
constexpr Nanos kRefreshMost = std::chrono::seconds(24);
constexpr std::int64_t kTokenLifeMostMs = 10LL * 365 * 24 * 3600 * 1000;  // as it is parsed
constexpr std::string_view kInboxName = "inbox-key";
constexpr std::string_view kAuthorityName = "interception-ca";

std::string random_text(std::size_t bytes) {
  std::string raw(bytes, '\0');
  fill_random({reinterpret_cast<std::uint8_t*>(raw.data()), raw.size()});
  return to_base64url(raw);
}

// A token is renewed this long before it ends; what is refused before is renewed once.
constexpr Nanos kRenewedBefore = 5s;

// The end of a token whose time was told or read just now.
std::optional<Instant> end_of(const AccessToken& token, net::Loop& loop) {
  if (token.expires_unix_ms == 0) return std::nullopt;
  const std::int64_t left_ms = token.expires_unix_ms - loop.wall().unix_millis();
  return loop.now() + Millis(std::clamp<std::int64_t>(left_ms, 0, kTokenLifeMostMs));
}

RecordKey connection_key(const std::string& tenant, const std::string& user,
                         const ipc::PublishService& service) {
  return {tenant, user, service.name, service.kind};
}

// What `gatehouse connect` needs beside the service; "" is the tenant's own.
std::string user_flag(const std::string& owner) { return owner.empty() ? "" : " --user " + owner; }

Use use_by_person(std::string what, std::string tenant, std::string user, std::string service) {
  Use use;
  use.what = std::move(what);
  use.tenant = std::move(tenant);
  use.user = std::move(user);
  use.service = std::move(service);
  return use;
}

double leases_per_second(const ipc::DeclareRunLive& run) {
  return run.leases_per_second == 0 ? kLeasesPerSecond : run.leases_per_second;
}

}  // namespace

Service::Service(net::Loop& loop, Store& store, const Sealer& sealer, Ports& ports)
    : loop_(loop), store_(store), sealer_(sealer), ports_(ports), flights_(loop) {}

Result<void> Service::open_inbox() {
  const RecordKey key{"", "", std::string(kInboxName), ipc::CredentialKind::kStatic};
  Result<Secret> stored = store_.get(key);
  if (!stored && stored.error() == Error::kNotFound) {
    stored = Secret::random(crypto_box_SECRETKEYBYTES);
    TRY(store_.put(key, *stored, loop_.wall().unix_millis()));
  }
  if (!stored) return Failure(stored.error());
  private_key_ = std::move(*stored);
  public_key_.resize(crypto_box_PUBLICKEYBYTES);
  crypto_scalarmult_base(reinterpret_cast<unsigned char*>(public_key_.data()),
                         bytes_of(private_key_.open(Purpose::kDerive)).data());
  return {};
}

Result<Secret> Service::unseal(std::string_view sealed) const {
  if (sealed.size() < crypto_box_SEALBYTES || sealed.size() > 32 * 1024) {
    return failure(Error::kInvalid, "a sealed value of an impossible size");
  }
  std::string plain(sealed.size() - crypto_box_SEALBYTES + 1, '\0');
  const int opened = crypto_box_seal_open(
      reinterpret_cast<unsigned char*>(plain.data()), bytes_of(sealed).data(), sealed.size(),
      bytes_of(public_key_).data(), bytes_of(private_key_.open(Purpose::kDerive)).data());
  if (opened != 0) {
    return failure(Error::kInvalid,
                   "a value that is not sealed to this vault's key; ask for the key again");
  }
  plain.pop_back();
  Secret value(plain);
  wipe({plain.data(), plain.capacity()});
  return value;
}

// --- the gateway

Result<Service::LiveRun*> Service::live_run(const RunId& run) {
  const auto found = runs_.find(run);
  if (found == runs_.end()) {
    return failure(Error::kLeaseRefused, "the vault leases for live runs only, and this is none");
  }
  if (ports_.is_killed(run)) {
    return failure(Error::kLeaseRefused, "the run is killed, so it gets no credential");
  }
  return &found->second;
}

std::size_t Service::end_killed() {
  std::map<RunId, std::size_t> ended;
  std::erase_if(leases_, [&](const auto& lease) {
    const bool killed = ports_.is_killed(lease.second.run);
    if (killed) ++ended[lease.second.run];
    return killed;
  });
  std::size_t all = 0;
  for (const auto& [run, count] : ended) {
    const auto about = runs_.find(run);
    log_warning("leases ended by a kill",
                {{"count", count},
                 {"run", run.text()},
                 {"trace", about == runs_.end() ? "" : about->second.about.trace.text()}});
    all += count;
  }
  return all;
}

std::size_t Service::end_leases_of(std::string_view holder) {
  return std::erase_if(leases_, [&](const auto& lease) { return lease.second.holder == holder; });
}

Result<const ipc::PublishService*> Service::service_of(std::string_view tenant,
                                                       std::string_view name) const {
  const auto found = services_.find({std::string(tenant), std::string(name)});
  if (found == services_.end()) {
    return failure(Error::kLeaseRefused,
                   fmt::format("the vault knows no service {}", printable(name)));
  }
  return &found->second;
}

bool Service::has_connection(std::string_view tenant, std::string_view user,
                             const ipc::PublishService& service) const {
  return store_.records().contains(connection_key(std::string(tenant), std::string(user), service));
}

// The user's own connection; of a shared service the tenant's. Never another one.
Result<std::string> Service::owner_of(const ipc::DeclareRunLive& run,
                                      const ipc::PublishService& service) const {
  const std::string owner = service.shared ? "" : run.user;
  if (has_connection(run.tenant, owner, service)) return owner;
  return failure(Error::kLeaseRefused,
                 fmt::format("{} has no connection to {}; `gatehouse connect {}{}` makes one",
                             service.shared ? run.tenant : run.user, service.name, service.name,
                             user_flag(owner)));
}

Task<Result<ipc::Leased>> Service::lease(ipc::Lease request, std::string holder) {
  Use use;
  use.what = "refused";
  use.run = request.run;
  use.exchange = request.exchange;
  use.service = request.service.substr(0, 256);
  use.host = request.host.substr(0, 256);
  Result<ipc::Leased> leased = co_await checked_lease(std::move(request), std::move(holder));
  if (leased || leased.error() != Error::kLeaseRefused) co_return leased;
  // A gateway that asks for what it must not have is on record, and cannot fill the log with it.
  ++uses_["refused"];
  if (loop_.now() - refusals_since_ > 1s) {
    refusals_since_ = loop_.now();
    refusals_ = 0;
  }
  if (++refusals_ > kRefusalsPerSecond) co_return leased;
  const auto run = runs_.find(use.run);
  if (run != runs_.end()) {
    use.trace = run->second.about.trace;
    use.tenant = run->second.about.tenant;
    use.user = run->second.about.user;
  }
  (void)co_await record(std::move(use));
  co_return leased;
}

Task<Result<ipc::Leased>> Service::checked_lease(ipc::Lease request, std::string holder) {
  LiveRun* run = CO_TRY(live_run(request.run));
  const Instant now = loop_.now();
  const double seconds = std::chrono::duration<double>(now - run->refilled).count();
  const double rate = leases_per_second(run->about);
  run->allowance = std::min(kBurstSeconds * rate, run->allowance + seconds * rate);
  run->refilled = now;
  if (run->allowance < 1 || leases_.size() >= kLeasesMost) {
    co_return failure(Error::kTooMany, "this run takes credentials faster than it may; slow down");
  }
  run->allowance -= 1;
  const auto& declared = run->about.services;
  if (std::find(declared.begin(), declared.end(), request.service) == declared.end()) {
    co_return failure(Error::kLeaseRefused, "that service was not declared for this run");
  }
  // It may be published anew whenever this waits: it is looked up again then.
  const ipc::PublishService* service = CO_TRY(service_of(run->about.tenant, request.service));
  const auto& hosts = service->hosts;
  if (std::find(hosts.begin(), hosts.end(), request.host) == hosts.end()) {
    co_return failure(Error::kLeaseRefused, fmt::format("the credential of {} is not bound to {}",
                                                        service->name, printable(request.host)));
  }
  const std::string owner = CO_TRY(owner_of(run->about, *service));
  const RecordKey key = connection_key(run->about.tenant, owner, *service);
  ipc::Leased leased;
  leased.lease = LeaseId::fresh();
  leased.connection = service->name + "/" + (owner.empty() ? run->about.tenant : owner);
  // A signature is worth nothing for another request, so that nobody looks for it in answers.
  const bool signs = !service->sign_region.empty();
  std::uint64_t generation = 0;
  if (service->kind == ipc::CredentialKind::kStatic) {
    auto found = statics_.find(key);
    if (found == statics_.end()) {
      Secret value = CO_TRY(store_.get(key));
      found = statics_.emplace(key, std::move(value)).first;
    }
    leased.value = signs ? CO_TRY(signature(*service, found->second, request))
                         : found->second.duplicate(Purpose::kInject);
  } else {
    const ipc::PublishService asked = *service;
    const auto connection = CO_TRY(co_await with_valid_token(
        key, asked, {rejected_generation(request), request.run, run->about.trace}));
    const AccessToken& token = connection->tokens.access;
    leased.value = token.value.duplicate(Purpose::kInject);
    leased.expires_unix_ms = token.expires_unix_ms;
    leased.renewable = !connection->tokens.refresh.value.empty();
    generation = connection->generation;
  }
  run = CO_TRY(live_run(request.run));  // it may have ended while a refresh was under way
  const std::string fingerprint = signs ? sealer_.fingerprint(run->about.tenant, statics_.at(key))
                                        : remember(*run, request.service, leased.value).fingerprint;
  Use use{request.run,       run->about.trace, request.exchange,
          run->about.tenant, run->about.user,  request.service,
          request.host,      request.method,   request.path.substr(0, 2048),
          leased.lease,      fingerprint,      "lease"};
  CO_TRY(co_await record(std::move(use)));
  run = CO_TRY(live_run(request.run));
  service = CO_TRY(service_of(run->about.tenant, request.service));
  leased.known = leased_to(*run, service->hosts);
  leases_.insert_or_assign(leased.lease,
                           LiveLease{request.run, request.service, generation, std::move(holder)});
  co_return leased;
}

Result<Secret> Service::signature(const ipc::PublishService& service, const Secret& key_pair,
                                  const ipc::Lease& asked) const {
  const auto refused = [&](std::string_view why) {
    return failure(Error::kLeaseRefused,
                   fmt::format("{} is not signed for: {}", service.name, why));
  };
  const auto request = wire::SigV4Request::parse(asked.to_sign);
  if (!request) return refused(request.error().message());
  const std::string_view host = request->host.substr(0, request->host.rfind(':'));
  const auto& hosts = service.hosts;
  if (std::find(hosts.begin(), hosts.end(), host) == hosts.end()) {
    return refused("the request is for " + printable(request->host.substr(0, 256)));
  }
  if (request->method != asked.method) return refused("the request has another method");
  const std::int64_t off = loop_.wall().unix_seconds() - request->date_unix_s;
  if (off < -kSignedMost_s || off > kSignedMost_s) return refused("its date is not of now");
  std::string value = TRY(wire::sigv4_authorization(key_pair, service.sign_region,
                                                    service.sign_service, asked.to_sign));
  return Secret(value);
}

Task<Result<void>> Service::record(Use use) {
  if (use.what != "refused") ++uses_[use.what];
  return ports_.record(std::move(use));
}

ipc::CounterList Service::counters() const {
  ipc::CounterList list;
  for (const auto& [what, count] : uses_) list.counters.push_back({"uses." + what, count});
  list.counters.push_back({"leases.live", leases_.size()});
  list.counters.push_back({"runs.live", runs_.size()});
  list.counters.push_back({"records", store_.records().size()});
  ipc::add_process_counters(list);
  return list;
}

Task<Result<ipc::Done>> Service::end_leases(ipc::EndLeases request) {
  for (const LeaseId& lease : request.leases) leases_.erase(lease);
  co_return ipc::Done{};
}

Service::LiveRun::Value& Service::remember(LiveRun& run, const std::string& service,
                                           const Secret& value) const {
  const auto found = std::find_if(run.leased.begin(), run.leased.end(), [&](const auto& known) {
    return known.service == service && known.value == value;
  });
  if (found != run.leased.end()) {
    std::rotate(run.leased.begin(), found, found + 1);
    return run.leased.front();
  }
  run.leased.insert(run.leased.begin(), {service, value.duplicate(Purpose::kCompare),
                                         sealer_.fingerprint(run.about.tenant, value)});
  if (run.leased.size() > kRememberedMost) run.leased.pop_back();
  return run.leased.front();
}

std::vector<Secret> Service::leased_to(const LiveRun& run,
                                       const std::vector<std::string>& hosts) const {
  std::vector<Secret> values;
  std::size_t bytes = 0;
  for (const LiveRun::Value& known : run.leased) {
    const auto service = services_.find({run.about.tenant, known.service});
    if (service == services_.end()) continue;
    const auto& bound = service->second.hosts;
    if (std::find_first_of(bound.begin(), bound.end(), hosts.begin(), hosts.end()) == bound.end()) {
      continue;
    }
    bytes += known.value.size() + 8;
    if (bytes > kKnownBytesMost) break;
    values.push_back(known.value.duplicate(Purpose::kCompare));
  }
  return values;
}

// What is told here was leased to this Run before, and is on record.
Task<Result<ipc::KnownValues>> Service::known(ipc::Known request) {
  const LiveRun* run = CO_TRY(live_run(request.run));
  co_return ipc::KnownValues{leased_to(*run, {request.host})};
}

Task<Result<ipc::LeafIssued>> Service::leaf(ipc::Leaf request) {
  const LiveRun* run = CO_TRY(live_run(request.run));
  const auto hosts = interceptable_.find(run->about.tenant);
  if (hosts == interceptable_.end()
      || std::find(hosts->second.begin(), hosts->second.end(), request.host)
             == hosts->second.end()) {
    co_return failure(Error::kDenied,
                      fmt::format("{} is not published as interceptable", printable(request.host)));
  }
  const Authority authority = CO_TRY(authority_of(run->about.tenant));
  LeafCertificate leaf = CO_TRY(issue_leaf(authority, request.host));
  Use use;
  use.run = request.run;
  use.trace = run->about.trace;
  use.tenant = run->about.tenant;
  use.user = run->about.user;
  use.host = request.host;
  use.what = "leaf";
  CO_TRY(co_await record(std::move(use)));
  co_return ipc::LeafIssued{std::move(leaf.chain_pem), std::move(leaf.key_pem),
                            leaf.not_after_unix_s};
}

Result<Authority> Service::authority_of(const std::string& tenant) {
  const RecordKey key{tenant, "", std::string(kAuthorityName), ipc::CredentialKind::kStatic};
  const Result<Secret> stored = store_.get(key);
  if (stored) return parse_authority(*stored);
  if (stored.error() != Error::kNotFound) return Failure(stored.error());
  Authority fresh = TRY(make_authority(tenant));
  TRY(store_.put(key, authority_text(fresh), loop_.wall().unix_millis()));
  return fresh;
}

// --- control: what there is

Task<Result<ipc::VaultPublicKey>> Service::public_key() {
  co_return ipc::VaultPublicKey{public_key_};
}

Task<Result<ipc::Done>> Service::publish(ipc::PublishService request) {
  if (request.kind == ipc::CredentialKind::kOauthClientSecret) {
    co_return failure(Error::kInvalid, "a service's credential is static or oauth");
  }
  const std::pair key(request.tenant, request.name);
  services_.insert_or_assign(key, std::move(request));
  co_return ipc::Done{};
}

Task<Result<ipc::Done>> Service::keep(ipc::KeepServices request) {
  std::set<std::pair<std::string, std::string>> kept;
  for (ipc::ServiceName& name : request.services) {
    kept.emplace(std::move(name.tenant), std::move(name.name));
  }
  std::erase_if(services_, [&kept](const auto& service) { return !kept.contains(service.first); });
  co_return ipc::Done{};
}
Task<Result<ipc::Done>> Service::publish(ipc::PublishInterceptable request) {
  interceptable_[request.tenant] = std::move(request.hosts);
  co_return ipc::Done{};
}

Task<Result<ipc::Done>> Service::put(ipc::PutSealed request) {
  const ipc::PublishService* service = CO_TRY(service_of(request.tenant, request.service));
  const bool fits =
      request.kind == ipc::CredentialKind::kOauthClientSecret
          ? service->kind == ipc::CredentialKind::kOauth && request.user.empty()
          : request.kind == ipc::CredentialKind::kStatic && service->kind == request.kind;
  if (!fits) {
    co_return failure(Error::kInvalid,
                      fmt::format("service {} takes another kind of credential", service->name));
  }
  const Secret value = CO_TRY(unseal(request.sealed));
  if (value.empty()) co_return failure(Error::kInvalid, "the value is empty");
  const RecordKey key{request.tenant, request.user, request.service, request.kind};
  CO_TRY(store_.put(key, value, loop_.wall().unix_millis()));
  statics_.erase(key);
  log_info("a credential was stored",
           {{"tenant", request.tenant}, {"user", request.user}, {"service", request.service}});
  co_await note(use_by_person("stored", request.tenant, request.user, request.service));
  co_return ipc::Done{};
}

Task<Result<ipc::ConnectionList>> Service::list(ipc::ListConnections request) {
  ipc::ConnectionList all;
  for (const auto& [key, about] : store_.records()) {
    const auto& [tenant, user, service, kind] = key;
    if (tenant != request.tenant || (!request.user.empty() && user != request.user)) continue;
    if (service == kAuthorityName || service == kInboxName) continue;
    ipc::ConnectionInfo info{tenant, user, service, kind, about.changed_unix_ms, 0, "ok"};
    if (kind == ipc::CredentialKind::kOauth) {
      const auto tokens = CO_TRY(opened(key));
      info.expires_unix_ms = tokens->tokens.access.expires_unix_ms;
      info.state = tokens->tokens.state;
    }
    all.connections.push_back(std::move(info));
  }
  co_return all;
}

Task<Result<ipc::Done>> Service::remove(ipc::RemoveConnection request) {
  const ipc::PublishService service = *CO_TRY(service_of(request.tenant, request.service));
  const RecordKey key = connection_key(request.tenant, request.user, service);
  std::shared_ptr<Opened> connection;
  if (service.kind == ipc::CredentialKind::kOauth) {
    if (auto found = opened(key)) connection = std::move(*found);
  }
  // Forgotten first, whatever the server makes of it: from here on nothing is leased.
  CO_TRY(store_.remove(key));
  statics_.erase(key);
  opened_.erase(key);
  co_await note(use_by_person("removed", request.tenant, request.user, request.service));
  if (connection != nullptr && !service.revocation_endpoint.empty()) {
    CO_TRY(co_await revoke(*connection, service));
  }
  co_return ipc::Done{};
}

// RFC 7009, as well as it goes.
Task<Result<void>> Service::revoke(Opened& connection, const ipc::PublishService& service) {
  if (connection.tokens.refresh.value.empty()) co_return Result<void>();
  const auto secret = CO_TRY(client_secret(service));
  std::string form = "token_type_hint=refresh_token&token="
                     + percent_encoded(connection.tokens.refresh.value.open(Purpose::kTransport));
  ipc::Post post{service.revocation_endpoint, Secret(form), {}, ""};
  wipe({form.data(), form.size()});
  if (secret) post.authorization = basic_authorization(service.client_id, *secret);
  (void)co_await ports_.post(std::move(post), loop_.in(kCourierMost));
  co_return Result<void>();
}

// --- control: Runs

Task<Result<ipc::RunLive>> Service::declare_live(ipc::DeclareRunLive request) {
  ipc::RunLive answer;
  const auto known = runs_.find(request.run);
  if (known != runs_.end()) {
    answer.placeholders = known->second.placeholders;
  } else {
    LiveRun run;
    for (const std::string& name : request.services) {
      const auto service = service_of(request.tenant, name);
      if (!service) continue;
      if (!owner_of(request, **service)) continue;
      run.placeholders.push_back({name, sealer_.placeholder(request.run.text(), name)});
    }
    run.allowance = kBurstSeconds * leases_per_second(request);
    run.refilled = loop_.now();
    answer.placeholders = run.placeholders;
    run.about = request;
    runs_.emplace(request.run, std::move(run));
  }
  answer.ca_certificate_pem = CO_TRY(authority_of(request.tenant)).certificate_pem;
  co_return answer;
}

Task<Result<ipc::Done>> Service::declare_ended(ipc::DeclareRunEnded request) {
  runs_.erase(request.run);
  std::erase_if(leases_, [&](const auto& lease) { return lease.second.run == request.run; });
  co_return ipc::Done{};
}

// --- OAuth

Task<Result<ipc::AuthorizationStarted>> Service::start(ipc::StartAuthorization request) {
  const ipc::PublishService* service = CO_TRY(service_of(request.tenant, request.service));
  if (service->kind != ipc::CredentialKind::kOauth) {
    co_return failure(Error::kInvalid,
                      fmt::format("service {} takes a key, not an authorization", service->name));
  }
  const Instant now = loop_.now();
  std::erase_if(pending_, [&](const auto& item) { return item.second.until < now; });
  if (pending_.size() >= kPendingMost) {
    co_return failure(Error::kTooMany, "too many authorizations are under way; try again later");
  }
  Pending pending{std::move(request), make_verifier(), now + kPendingFor};
  ipc::AuthorizationStarted started;
  started.state = random_text(24);
  started.url =
      authorization_url(*service, pending.about.redirect_uri, started.state, pending.verifier);
  pending_.emplace(started.state, std::move(pending));
  co_return started;
}

Result<std::optional<ClientSecret>> Service::client_secret(const ipc::PublishService& service) {
  Result<Secret> stored =
      store_.get({service.tenant, "", service.name, ipc::CredentialKind::kOauthClientSecret});
  if (stored) return ClientSecret{std::move(*stored)};
  if (stored.error() == Error::kNotFound) return std::nullopt;  // a public client
  return Failure(stored.error());
}

Task<Result<ipc::Done>> Service::finish(ipc::FinishAuthorization request) {
  const auto found = pending_.find(request.state);
  if (found == pending_.end() || found->second.until < loop_.now()) {
    co_return failure(Error::kInvalid,
                      "this authorization is unknown, was used already, or took longer "
                      "than ten minutes; start again with `gatehouse connect`");
  }
  const Pending pending = std::move(found->second);
  pending_.erase(found);  // a state is good for one answer
  const ipc::PublishService service =
      *CO_TRY(service_of(pending.about.tenant, pending.about.service));
  if (!service.issuer.empty() && request.issuer != service.issuer) {
    co_return failure(Error::kDenied,
                      request.issuer.empty()
                          ? "the answer does not say which authorization server it comes from (iss "
                            "of RFC 9207); leave `issuer` out if that server never says it"
                          : "the answer comes from another authorization server than asked");
  }
  const Secret code = CO_TRY(unseal(request.sealed_code));
  const auto secret = CO_TRY(client_secret(service));
  ipc::Post post{
      service.token_endpoint,
      code_form(service, code, pending.about.redirect_uri, pending.verifier, secret.has_value()),
      {},
      ""};
  if (secret) post.authorization = basic_authorization(service.client_id, *secret);
  const ipc::Posted posted = CO_TRY(co_await ports_.post(std::move(post), loop_.in(kCourierMost)));
  TokenAnswer answer =
      CO_TRY(parse_token_answer(posted.status, posted.body, loop_.wall().unix_millis()));
  Tokens tokens{std::move(answer.access), {}, std::move(answer.scope), "ok"};
  if (answer.refresh) tokens.refresh = std::move(*answer.refresh);
  const RecordKey key = connection_key(pending.about.tenant, pending.about.user, service);
  CO_TRY(store_.put(key, tokens_text(tokens), loop_.wall().unix_millis()));
  opened_.erase(key);
  CO_TRY(opened(key));  // now, while what the wall clock says of the token's end is what was told
  log_info(
      "a connection was made",
      {{"tenant", pending.about.tenant}, {"user", pending.about.user}, {"service", service.name}});
  co_await note(use_by_person("connected", pending.about.tenant, pending.about.user, service.name));
  co_return ipc::Done{};
}

Result<std::shared_ptr<Service::Opened>> Service::opened(const RecordKey& key) {
  const auto found = opened_.find(key);
  if (found != opened_.end()) return found->second;
  auto fresh = std::make_shared<Opened>(loop_);
  fresh->tokens = TRY(parse_tokens(TRY(store_.get(key))));
  fresh->access_ends = end_of(fresh->tokens.access, loop_);
  opened_.emplace(key, fresh);
  return fresh;
}

bool Service::is_current(const RecordKey& key, const std::shared_ptr<Opened>& opened) const {
  const auto found = opened_.find(key);
  return found != opened_.end() && found->second == opened;
}

std::optional<std::uint64_t> Service::rejected_generation(const ipc::Lease& request) const {
  const auto found = leases_.find(request.rejected);
  if (found == leases_.end() || found->second.run != request.run
      || found->second.service != request.service) {
    return std::nullopt;
  }
  return found->second.generation;
}

// The token, renewed where it is due or was rejected. However many ask at once, one refresh is
// under way per connection.
Task<Result<std::shared_ptr<Service::Opened>>> Service::with_valid_token(
    RecordKey key, const ipc::PublishService& service, Asking asking) {
  const std::shared_ptr<Opened> connection = CO_TRY(opened(key));
  if (connection->tokens.state == "reconsent_required") {
    co_return failure(Error::kLeaseRefused,
                      fmt::format("{} must be connected again: `gatehouse connect {}{}`",
                                  service.name, service.name, user_flag(std::get<1>(key))));
  }
  const auto wants_renewal = [&] {
    return asking.rejected == connection->generation || connection->tokens.access.value.empty()
           || (connection->access_ends && *connection->access_ends - loop_.now() < kRenewedBefore);
  };
  if (!wants_renewal()) co_return connection;
  if (!connection->refreshing) {
    if (asking.rejected && loop_.now() < connection->may_renew) {
      co_return failure(Error::kTooMany, "the credential was renewed a moment ago");
    }
    connection->may_renew = loop_.now() + kRenewalRest;
    connection->refreshing = true;
    connection->refreshed.reset();
    flights_.spawn(fly(key, connection, service, std::move(asking)));
  }
  CO_TRY(co_await connection->refreshed.wait(loop_.in(kRefreshMost)));
  if (connection->failed) co_return Failure(*connection->failed);
  if (!is_current(key, connection)) {
    co_return failure(Error::kLeaseRefused, fmt::format("the connection to {} was removed or made "
                                                        "anew meanwhile; try again",
                                                        service.name));
  }
  co_return connection;
}

Task<void> Service::fly(RecordKey key, std::shared_ptr<Opened> connection,
                        ipc::PublishService service, Asking asking) {
  connection->failed.reset();
  const std::string traceparent = wire::TraceParent{asking.trace, SpanId::fresh(), true}.text();
  const Result<void> done = co_await refresh(key, connection, service, traceparent);
  if (!done) {
    connection->failed = done.error();
    connection->may_renew = std::min(connection->may_renew, loop_.now() + kFailedRenewalRest);
  }
  connection->refreshing = false;
  connection->refreshed.set();
  Use use;
  use.run = asking.run;
  use.trace = asking.trace;
  use.tenant = std::get<0>(key);
  use.user = std::get<1>(key);
  use.service = service.name;
  use.what = done ? "refresh" : "refresh-failed";
  co_await note(std::move(use));
}

// What people and renewals do to connections, for the record; a log that is away does not undo it.
Task<void> Service::note(Use use) {
  const Result<void> recorded = co_await record(std::move(use));
  if (!recorded) log_warning("not on record", {{"why", recorded.error().message()}});
}

Task<Result<void>> Service::refresh(RecordKey key, std::shared_ptr<Opened> connection,
                                    ipc::PublishService service, std::string traceparent) {
  if (connection->tokens.refresh.value.empty()) {
    co_return failure(Error::kLeaseRefused,
                      fmt::format("the access to {} has ended and cannot be renewed; "
                                  "connect again",
                                  service.name));
  }
  Tokens& tokens = connection->tokens;
  // Written before the request: a crash in the middle is seen as one at the next start.
  tokens.state = "suspect";
  CO_TRY(store_.put(key, tokens_text(tokens), loop_.wall().unix_millis()));
  const auto secret = CO_TRY(client_secret(service));
  ipc::Post post{service.token_endpoint,
                 refresh_form(service, tokens.refresh, secret.has_value()),
                 {},
                 std::move(traceparent)};
  if (secret) post.authorization = basic_authorization(service.client_id, *secret);
  const auto posted = co_await ports_.post(std::move(post), loop_.in(kCourierMost));
  if (!is_current(key, connection)) {
    co_return failure(Error::kLeaseRefused, "the connection was removed meanwhile");
  }
  if (!posted) {
    if (posted.error() == Error::kUnreachable) tokens.state = "ok";  // surely not sent
    CO_TRY(store_.put(key, tokens_text(tokens), loop_.wall().unix_millis()));
    co_return Failure(posted.error().in("renewing the access to " + service.name));
  }
  auto answer = parse_token_answer(posted->status, posted->body, loop_.wall().unix_millis());
  if (!answer) {
    tokens.state = answer.error() == Error::kDenied ? "reconsent_required" : "ok";
    CO_TRY(store_.put(key, tokens_text(tokens), loop_.wall().unix_millis()));
    co_return failure(Error::kLeaseRefused,
                      "renewing the access to " + service.name + ": " + answer.error().message());
  }
  tokens.access = std::move(answer->access);
  connection->access_ends = end_of(tokens.access, loop_);
  if (answer->refresh) tokens.refresh = std::move(*answer->refresh);
  if (!answer->scope.empty()) tokens.scope = answer->scope;
  tokens.state = "ok";
  ++connection->generation;
  // Durable before its first use: a rotated token that is lost locks the person out.
  CO_TRY(store_.put(key, tokens_text(tokens), loop_.wall().unix_millis()));
  co_return Result<void>();
}

// --- permit tables

}  // namespace gatehouse::vault
