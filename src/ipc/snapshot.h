// SPDX-License-Identifier: Apache-2.0
// The Snapshot: what control compiles from the state store and every gateway thread rules by.
// Immutable once made; it names services and rules, and holds no secret.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/message.h"
#include "ipc/network.h"

namespace gatehouse::ipc {

// How requests to a Service are understood.
enum class ServiceKind : std::uint8_t {
  kHttp,
  kOpenAi,
  kMcp,
  kAnthropic,
  kGemini,
  kBedrock,
  kAzureOpenAi
};
// As the config and the state store call them, in the enum's order.
inline constexpr std::array<std::string_view, 7> kServiceKindNames = {
    "http", "openai", "mcp", "anthropic", "gemini", "bedrock", "azure-openai"};
[[nodiscard]] constexpr std::string_view name_of(ServiceKind kind) {
  return kServiceKindNames.at(static_cast<std::size_t>(kind));
}

struct ServiceSpec {
  std::string tenant;
  std::string name;
  ServiceKind kind = ServiceKind::kHttp;
  // How the agent names it: `scheme://host:port` as the agent dials it. https is intercepted with a
  // leaf of the tenant.
  std::string host;  // lower case, no trailing dot
  std::uint16_t port = 0;
  bool agent_tls = false;
  // Where the gateway dials.
  std::string upstream_host;  // a name or an IP literal
  std::uint16_t upstream_port = 0;
  bool upstream_tls = false;
  std::string base_path;  // prefix put before the path, "" or "/v1"-like without trailing slash
  std::string upstream_ca_pem;  // additional trust anchors; "" means the system's
  bool allow_private_upstream =
      false;  // loopback and private ranges are refused unless the operator says so
  // The credential: "" when the service needs none. The header is set to `prefix` + value.
  std::string credential_header;          // "authorization", "x-api-key"
  std::string credential_prefix;          // "Bearer "
  std::vector<std::string> intent_paths;  // GETs that need a durable Intent, path patterns
  template <class F>
  void fields(F& f) {
    f(tenant, name, kind, host, port, agent_tls, upstream_host, upstream_port, upstream_tls,
      base_path, upstream_ca_pem, allow_private_upstream, credential_header, credential_prefix,
      intent_paths);
  }
};

// One allow rule. Empty lists of methods, paths or tools mean any; `*` matches within one path
// segment, `**` any rest.
struct RuleSpec {
  std::string tenant;
  std::string id;
  std::string agent;
  std::string service;  // a service's name; or "" with `hosts`
  std::vector<std::string>
      hosts;  // exact names, or "*.example.com" for labels below it; plain forward proxying
  std::vector<std::string> methods;
  std::vector<std::string> paths;
  std::vector<std::string> tools;  // MCP tools/call names
  template <class F>
  void fields(F& f) {
    f(tenant, id, agent, service, hosts, methods, paths, tools);
  }
};

struct Snapshot {
  std::uint64_t generation = 0;
  std::vector<ServiceSpec> services;
  std::vector<RuleSpec> rules;
  NetworkSpec network;
  // Control's public keys (Ed25519, 32 bytes each) by which run tokens are verified: of two, one is
  // on its way out.
  std::vector<std::string> run_token_keys;
  template <class F>
  void fields(F& f) {
    f(generation, services, rules, network, run_token_keys);
  }
};

}  // namespace gatehouse::ipc
