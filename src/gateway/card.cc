// SPDX-License-Identifier: Apache-2.0
#include "gateway/card.h"

#include "wire/url.h"

namespace gatehouse::gateway {
namespace {

// What of an upstream's path comes behind the Service's base path; nothing when it is not below it.
std::optional<std::string_view> below(std::string_view path, std::string_view base) {
  if (!path.starts_with(base)) return std::nullopt;
  path.remove_prefix(base.size());
  if (path.empty()) return "/";
  return path.starts_with('/') ? std::optional(path) : std::nullopt;
}

bool is_upstream_of(const ipc::ServiceSpec& service, const wire::Url& url) {
  return service.upstream_host == url.host.text() && service.upstream_port == url.port
         && service.upstream_tls == (url.scheme == wire::Scheme::kHttps);
}

// Where the agent finds what is there.
std::optional<std::string> at(const ipc::ServiceSpec& service, const wire::Url& url) {
  const auto path = below(url.path_and_query, service.base_path);
  const auto host = wire::Host::parse(service.host);
  if (!path || !host) return std::nullopt;
  const auto scheme = service.agent_tls ? wire::Scheme::kHttps : wire::Scheme::kHttp;
  return wire::Url{scheme, *host, service.port, std::string(*path)}.text();
}

std::optional<std::string> address(const Exchange& of, std::string_view text) {
  const auto url = wire::Url::parse(text);
  if (!url) return std::nullopt;
  if (is_upstream_of(*of.service, *url)) {
    if (auto own = at(*of.service, *url)) return own;
  }
  for (const ipc::ServiceSpec& other : of.rulebook->services()) {
    const bool is_agents =
        other.tenant == of.service->tenant && other.kind == ipc::ServiceKind::kA2a;
    if (!is_agents || !is_upstream_of(other, *url)) continue;
    if (auto there = at(other, *url)) return there;
  }
  return at(*of.service, *url);
}

}  // namespace

Result<wire::A2aCard> card_for_agent(const Exchange& of, std::string_view answer) {
  return wire::card_through(std::get<AgentCall>(of.call).request.binding, answer,
                            [&of](std::string_view url) { return address(of, url); });
}

}  // namespace gatehouse::gateway
