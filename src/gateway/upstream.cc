// SPDX-License-Identifier: Apache-2.0
#include "gateway/upstream.h"

#include <fmt/format.h>

#include "gateway/http1_upstream.h"
#include "gateway/http2_upstream.h"

namespace gatehouse::gateway {
namespace {

using net::Task;

constexpr Nanos kConnectMost = std::chrono::seconds(10);
constexpr std::size_t kSpokenMost = 4096;  // destinations of which it is known what they speak

std::string identity_key(std::string_view tenant, std::string_view service) {
  return fmt::format("{}\n{}", tenant, service);
}

}  // namespace

// Who dials a link that others may wait for; they are told when it is there, or will not be.
class Upstreams::Dialling {
 public:
  Dialling(Upstreams& upstreams, std::string key)
      : upstreams_(upstreams),
        key_(std::move(key)),
        over_(std::make_shared<net::Event>(upstreams.loop_)) {
    upstreams_.dialling_[key_] = over_;
  }
  Dialling(const Dialling&) = delete;
  Dialling& operator=(const Dialling&) = delete;
  ~Dialling() {
    over_->set();
    const auto found = upstreams_.dialling_.find(key_);
    if (found != upstreams_.dialling_.end() && found->second == over_) {
      upstreams_.dialling_.erase(found);
    }
  }

 private:
  Upstreams& upstreams_;
  std::string key_;
  std::shared_ptr<net::Event> over_;
};

RawConnection UpstreamExchange::switched() { return {}; }

Upstreams::Upstreams(net::Loop& loop, net::Resolver& resolver)
    : loop_(loop), egress_(loop, resolver) {}
Upstreams::~Upstreams() = default;

std::string Upstreams::key_of(const Destination& to) const {
  std::string key;
  key.reserve(network_.size() + to.host.size() + to.spiffe_id.size() + to.ca_pem.size() + 32);
  key.append(network_).append(to.host) += '\n';
  key.append(std::to_string(to.port)) += '\n';
  for (const bool flag : {to.tls, to.http2, to.allow_private}) key += flag ? '1' : '0';
  key += '\n';
  if (to.identity) key += to.identity->name;
  key += '\n';
  return key.append(to.spiffe_id).append("\n").append(to.ca_pem);
}

bool Upstreams::is_of_now(const std::string& key) const { return key.starts_with(network_); }

void Upstreams::use(const ipc::NetworkSpec& network) {
  if (network == egress_.network()) return;
  egress_.use(network);
  forget_connections();
}

void Upstreams::forget_connections() {
  network_ = fmt::format("{}\n", ++networks_);
  idle_.clear();
  links_.clear();  // what is under way on one keeps it
  spoken_.clear();
}

Result<void> Upstreams::use(ipc::UseClientIdentity identity) {
  auto& kept = identities_[identity_key(identity.tenant, identity.service)];
  if (kept && kept->tls.certificate_pem == identity.certificate_pem
      && kept->tls.private_key_pem == identity.private_key_pem) {
    return {};
  }
  auto fresh = std::make_shared<egress::Identity>();
  fresh->name = fmt::format("{}", ++identities_made_);
  fresh->tls = {std::move(identity.certificate_pem), std::move(identity.private_key_pem)};
  TRY(net::TlsClient::make({.system_roots = false, .identity = &fresh->tls}));
  kept = std::move(fresh);
  egress_.forget_identities();
  forget_connections();
  return {};
}

void Upstreams::keep_identities(const std::vector<ipc::ServiceSpec>& services) {
  const std::size_t gone = std::erase_if(identities_, [&](const auto& each) {
    return std::none_of(services.begin(), services.end(), [&](const ipc::ServiceSpec& service) {
      return service.shows_certificate && identity_key(service.tenant, service.name) == each.first;
    });
  });
  if (gone == 0) return;
  egress_.forget_identities();
  forget_connections();
}

Result<Destination> Upstreams::destination_of(const ipc::ServiceSpec& service) const {
  Destination to{service.upstream_host,          service.upstream_port,
                 service.upstream_tls,           service.upstream_ca_pem,
                 service.allow_private_upstream, service.upstream_http2,
                 service.upstream_spiffe_id,     nullptr};
  if (!service.shows_certificate) return to;
  const auto found = identities_.find(identity_key(service.tenant, service.name));
  if (found == identities_.end() || !found->second) {
    return failure(Error::kUnreachable, fmt::format("the client certificate of {} is not here, or "
                                                    "is not usable; nothing is sent without it",
                                                    service.name));
  }
  to.identity = found->second;
  return to;
}

Task<Result<std::unique_ptr<UpstreamExchange>>> Upstreams::begin(Destination to, Reuse reuse,
                                                                 Deadline deadline) {
  std::string key = key_of(to);
  if (reuse == Reuse::kNever || !to.tls || !to.http2) {
    co_return co_await begin_on_new(std::move(to), std::move(key), reuse, deadline);
  }
  if (auto link = link_with_room(key)) co_return Http2Link::begin(std::move(link));
  if (!known_to_speak_http2(key).value_or(false)) {
    co_return co_await begin_on_new(std::move(to), std::move(key), reuse, deadline);
  }
  if (const auto found = dialling_.find(key); found != dialling_.end()) {
    const std::shared_ptr<net::Event> over = found->second;
    CO_TRY(co_await over->wait(deadline));
    if (auto link = link_with_room(key)) co_return Http2Link::begin(std::move(link));
  }
  const Dialling dialling(*this, key);
  co_return co_await begin_on_new(std::move(to), std::move(key), reuse, deadline);
}

Task<Result<std::unique_ptr<UpstreamExchange>>> Upstreams::begin_on_new(Destination to,
                                                                        std::string key,
                                                                        Reuse reuse,
                                                                        Deadline deadline) {
  Connection connection = CO_TRY(co_await acquire(std::move(to), key, reuse, deadline));
  if (!connection.speaks_http2) {
    co_return std::make_unique<Http1Upstream>(*this, std::move(connection));
  }
  if (reuse == Reuse::kAllowed) {
    // Others have dialled meanwhile: one connection is enough.
    if (auto link = link_with_room(key)) co_return Http2Link::begin(std::move(link));
  }
  auto link = std::make_shared<Http2Link>(loop_, std::move(connection.stream));
  if (is_of_now(key)) {
    for (auto& [other, links] : links_) {
      std::erase_if(links, [](const auto& each) { return each->is_over(); });
    }
    std::erase_if(links_, [](const auto& each) { return each.second.empty(); });
    links_[key].push_back(link);
  }
  co_return Http2Link::begin(std::move(link));
}

std::shared_ptr<Http2Link> Upstreams::link_with_room(const std::string& key) {
  const auto found = links_.find(key);
  if (found == links_.end()) return nullptr;
  std::erase_if(found->second, [](const auto& link) { return link->is_over(); });
  for (const auto& link : found->second) {
    if (link->has_room()) return link;
  }
  if (found->second.empty()) links_.erase(found);
  return nullptr;
}

std::size_t Upstreams::links() const {
  std::size_t count = 0;
  for (const auto& [key, list] : links_) {
    count += static_cast<std::size_t>(
        std::count_if(list.begin(), list.end(), [](const auto& link) { return !link->is_over(); }));
  }
  return count;
}

std::optional<bool> Upstreams::speaks_http2(const Destination& to) const {
  if (!to.tls || !to.http2) return false;
  return known_to_speak_http2(key_of(to));
}

std::optional<bool> Upstreams::known_to_speak_http2(const std::string& key) const {
  const auto found = spoken_.find(key);
  return found == spoken_.end() ? std::nullopt : std::optional(found->second);
}

void Upstreams::learn(const std::string& key, bool speaks_http2) {
  if (spoken_.size() >= kSpokenMost && !spoken_.contains(key)) spoken_.clear();
  spoken_[key] = speaks_http2;
}

Task<Result<Upstreams::Connection>> Upstreams::acquire_new(Destination to, Deadline deadline) {
  std::string key = key_of(to);
  return acquire(std::move(to), std::move(key), Reuse::kNever, deadline);
}

Task<Result<Upstreams::Connection>> Upstreams::acquire(Destination to, std::string key, Reuse reuse,
                                                       Deadline deadline) {
  if (reuse == Reuse::kAllowed) {
    if (auto kept = idle_.take(key, loop_.now())) {
      ++pool_.reused;
      co_return Connection{std::move(kept), std::move(key), true, false, InUse(pool_)};
    }
  }
  const Deadline dial_by(std::min(deadline.at(), loop_.now() + kConnectMost));
  const bool may_speak_http2 = to.tls && to.http2;
  Result<egress::Dialled> dialled = co_await egress_.dial(std::move(to), dial_by);
  ++(dialled ? pool_.made : pool_.failed);
  if (!dialled) co_return Failure(dialled.error());
  if (may_speak_http2 && is_of_now(key)) learn(key, dialled->speaks_http2);
  co_return Connection{std::move(dialled->stream), std::move(key), false, dialled->speaks_http2,
                       InUse(pool_)};
}

void Upstreams::release(Connection connection) {
  if (!is_of_now(connection.key)) return;
  idle_.put(std::move(connection.key), std::move(connection.stream), loop_.now());
}

}  // namespace gatehouse::gateway
