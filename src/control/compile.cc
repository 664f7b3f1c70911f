// SPDX-License-Identifier: Apache-2.0
#include "control/compile.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/check.h"
#include "wire/url.h"

namespace gatehouse::control {
namespace {

// Urls in the store were parsed on their way in.
wire::Url parsed(const std::string& url) {
  auto parsed = wire::Url::parse(url);
  CHECK(parsed);
  return *std::move(parsed);
}

// As it is dialled: an IPv6 address without its brackets.
std::string bare(const wire::Host& host) {
  std::string text = host.text();
  if (text.starts_with('[')) text = text.substr(1, text.size() - 2);
  return text;
}

ipc::ModelRouteSpec spec_of(const ModelRoute& route) {
  ipc::ModelRouteSpec spec;
  spec.name = route.name;
  spec.by_exchange = route.by_exchange;
  spec.retries = route.retries;
  spec.retry_percent = route.retry_percent;
  for (const ModelTarget& target : route.targets) {
    spec.targets.push_back(
        {target.service, target.model, target.tier, target.weight, target.prefix});
  }
  return spec;
}

ipc::ServiceSpec spec_of(const Service& service) {
  ipc::ServiceSpec spec;
  spec.tenant = service.tenant;
  spec.name = service.name;
  spec.kind = service.kind;
  const wire::Url url = parsed(service.url);
  spec.host = url.host.text();
  spec.port = url.port;
  spec.agent_tls = url.scheme == wire::Scheme::kHttps;
  const wire::Url upstream = parsed(service.upstream);
  spec.upstream_host = bare(upstream.host);
  spec.upstream_port = upstream.port;
  spec.upstream_tls = upstream.scheme == wire::Scheme::kHttps;
  if (upstream.path_and_query != "/") spec.base_path = upstream.path_and_query;
  spec.upstream_ca_pem = service.upstream_ca_pem;
  spec.allow_private_upstream = service.allow_private;
  if (service.credential) {
    spec.credential_header = service.credential->header;
    spec.credential_prefix = service.credential->prefix;
    spec.signs = service.credential->kind == "sigv4";
  }
  spec.intent_paths = service.intent;
  spec.asks_usage = service.include_usage;
  spec.drains = service.drains;
  spec.timeouts = {service.timeouts.connect_s, service.timeouts.first_byte_s,
                   service.timeouts.idle_s, service.timeouts.total_s};
  spec.concurrency = service.concurrency;
  spec.upstream_http2 = service.http2;
  spec.upstream_spiffe_id = service.spiffe_id;
  spec.shows_certificate = service.client_certificate.has_value();
  for (const ModelRoute& route : service.models) spec.models.push_back(spec_of(route));
  return spec;
}

}  // namespace

ipc::Snapshot compiled_snapshot(const State& state, std::uint64_t generation) {
  ipc::Snapshot snapshot;
  snapshot.generation = generation;
  for (const Service* service : state.all<Service>()) {
    snapshot.services.push_back(spec_of(*service));
  }
  for (const Rule* rule : state.all<Rule>()) {
    snapshot.rules.push_back({rule->tenant, rule->id, rule->agent, rule->service, rule->hosts,
                              rule->methods, rule->paths, rule->tools, rule->provider_tools,
                              rule->operations, rule->models});
  }
  return snapshot;
}

std::vector<ipc::PublishService> compiled_services(const State& state) {
  std::vector<ipc::PublishService> out;
  for (const Service* service : state.all<Service>()) {
    if (!service->credential) continue;
    const Credential& credential = *service->credential;
    ipc::PublishService publish;
    publish.tenant = service->tenant;
    publish.name = service->name;
    publish.kind =
        credential.kind == "oauth" ? ipc::CredentialKind::kOauth : ipc::CredentialKind::kStatic;
    publish.hosts = {parsed(service->url).host.text()};
    const std::string upstream = parsed(service->upstream).host.text();
    if (upstream != publish.hosts.front()) publish.hosts.push_back(upstream);
    publish.authorization_endpoint = credential.authorization_endpoint;
    publish.token_endpoint = credential.token_endpoint;
    publish.revocation_endpoint = credential.revocation_endpoint;
    publish.issuer = credential.issuer;
    publish.client_id = credential.client_id;
    publish.sign_region = credential.region;
    publish.sign_service = credential.service;
    publish.scopes = credential.scopes;
    publish.shared = service->shared;
    out.push_back(std::move(publish));
  }
  return out;
}

std::vector<ipc::PublishInterceptable> compiled_interceptable(const State& state) {
  std::map<std::string, std::set<std::string>> hosts;
  for (const Tenant* tenant : state.all<Tenant>()) hosts[tenant->name];
  for (const Service* service : state.all<Service>()) {
    const wire::Url url = parsed(service->url);
    if (url.scheme == wire::Scheme::kHttps) hosts[service->tenant].insert(url.host.text());
  }
  std::vector<ipc::PublishInterceptable> out;
  for (const auto& [tenant, names] : hosts) {
    out.push_back({tenant, {names.begin(), names.end()}});
  }
  return out;
}

ipc::PublishEndpoints compiled_endpoints(const State& state) {
  std::map<std::string, ipc::RegisteredEndpoint> by_url;
  for (const Service* service : state.all<Service>()) {
    if (!service->credential) continue;
    for (const std::string& url :
         {service->credential->token_endpoint, service->credential->revocation_endpoint}) {
      if (url.empty()) continue;
      by_url.try_emplace(
          url, ipc::RegisteredEndpoint{url, service->upstream_ca_pem, service->allow_private});
    }
  }
  ipc::PublishEndpoints publish;
  for (auto& [url, endpoint] : by_url) publish.endpoints.push_back(std::move(endpoint));
  return publish;
}

std::vector<std::string> leasable_services(const State& state, const Agent& agent) {
  std::set<std::string> names;
  for (const Rule* rule : state.all<Rule>()) {
    if (rule->tenant != agent.tenant || rule->agent != agent.name) continue;
    const Service* service = state.find<Service>(rule->tenant, rule->service);
    if (service != nullptr && service->credential) names.insert(service->name);
  }
  return {names.begin(), names.end()};
}

}  // namespace gatehouse::control
