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
  kAzureOpenAi,
  kA2a,  // the Agent2Agent protocol
};
// As the config and the state store call them, in the enum's order.
inline constexpr std::array<std::string_view, 8> kServiceKindNames = {
    "http", "openai", "mcp", "anthropic", "gemini", "bedrock", "azure-openai", "a2a"};
[[nodiscard]] constexpr std::string_view name_of(ServiceKind kind) {
  return kServiceKindNames.at(static_cast<std::size_t>(kind));
}

// Whether what is asked of a Service of one kind can be asked of one of the other as it stands.
[[nodiscard]] constexpr bool speak_alike(ServiceKind one, ServiceKind other) {
  const auto is_openai = [](ServiceKind kind) {
    return kind == ServiceKind::kOpenAi || kind == ServiceKind::kAzureOpenAi;
  };
  return one == other || (is_openai(one) && is_openai(other));
}

// One place where a model of a model route lives.
struct ModelTargetSpec {
  std::string service;       // of the same tenant
  std::string model;         // as it is called there
  std::uint32_t tier = 1;    // a lower one goes first
  std::uint32_t weight = 1;  // its share among those of its tier
  std::string prefix;        // in front of OpenAI's endpoints there, where it is another
  template <class F>
  void fields(F& f) {
    f(service, model, tier, weight, prefix);
  }
};

// A name that requests to a Service may have for a model, and what stands behind it.
struct ModelRouteSpec {
  std::string name;
  bool by_exchange = false;  // each exchange is shared out by itself; else all of a Run go together
  std::uint32_t retries = 2;         // attempts that may follow the first
  std::uint32_t retry_percent = 20;  // of requests, beside a few that are saved
  std::vector<ModelTargetSpec> targets;
  template <class F>
  void fields(F& f) {
    f(name, by_exchange, retries, retry_percent, targets);
  }
};

// How long a gateway waits for an upstream, in whole seconds.
struct Timeouts {
  std::uint32_t connect_s = 10;      // until it is connected, its TLS included
  std::uint32_t first_byte_s = 600;  // from the request to the answer's head: a model may think
  std::uint32_t idle_s = 300;        // between two pieces of an answer
  std::uint32_t total_s = 0;         // from the dialling to the answer's end; 0: any time
  template <class F>
  void fields(F& f) {
    f(connect_s, first_byte_s, idle_s, total_s);
  }
  friend bool operator==(const Timeouts&, const Timeouts&) = default;

  static constexpr std::uint32_t kConnectMost_s = 10;
  static constexpr std::uint32_t kMost_s = 24 * 60 * 60;
};

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
  bool signs = false;                     // the vault signs each request (AWS Signature Version 4)
  std::vector<std::string> intent_paths;  // GETs that need a durable Intent, path patterns
  // OpenAI chat: whether a stream's usage is asked for where the agent does not.
  bool asks_usage = true;
  // When the agent leaves in the middle of an answer, whether the rest of it is taken all the same,
  // for its usage; else the upstream is cancelled at once.
  bool drains = false;
  Timeouts timeouts;
  std::uint32_t concurrency = 0;  // exchanges with it at a time, of each gateway; 0: any number
  bool upstream_http2 = true;     // is offered in TLS; else it is HTTP/1.1 alone
  // "": the upstream's certificate is matched by the host's name.
  std::string upstream_spiffe_id;
  bool shows_certificate = false;  // of the service's own, which UseClientIdentity brings
  std::vector<ModelRouteSpec> models;
  template <class F>
  void fields(F& f) {
    f(tenant, name, kind, host, port, agent_tls, upstream_host, upstream_port, upstream_tls,
      base_path, upstream_ca_pem, allow_private_upstream, credential_header, credential_prefix,
      signs, intent_paths, asks_usage, drains, timeouts, concurrency, upstream_http2,
      upstream_spiffe_id, shows_certificate, models);
  }
};

// One allow rule. Empty lists of methods, paths, tools, operations or models mean any; `*` matches
// within one path segment, `**` any rest.
struct RuleSpec {
  std::string tenant;
  std::string id;
  std::string agent;
  std::string service;  // a service's name; or "" with `hosts`
  std::vector<std::string>
      hosts;  // exact names, or "*.example.com" for labels below it; plain forward proxying
  std::vector<std::string> methods;
  std::vector<std::string> paths;
  std::vector<std::string> tools;           // MCP tools/call names
  std::vector<std::string> provider_tools;  // that may run at a model's provider; none means none
  // A2A's, by the names of its version 1.0; or a model provider's (wire/llm_endpoint.h).
  std::vector<std::string> operations;
  // Of a model provider's service, names in which `*` stands for any run of characters.
  std::vector<std::string> models;
  template <class F>
  void fields(F& f) {
    f(tenant, id, agent, service, hosts, methods, paths, tools, provider_tools, operations, models);
  }
};

// What tokens of a model cost, in micro-dollars for a million of them.
struct PriceSpec {
  static constexpr std::uint64_t kNone = UINT64_MAX;  // it is not said
  std::string origin;                                 // of the list that it is from, or "config"
  bool is_operators = false;
  std::string service;  // "" for any
  std::string model;    // a name in which `*` stands for any run of characters
  bool any_kind = true;
  ServiceKind kind = ServiceKind::kHttp;  // unless any
  std::uint64_t above_input = 0;          // holds for calls with more tokens in than this
  std::uint64_t input = kNone;
  std::uint64_t cache_read = kNone;
  std::uint64_t cache_write_5m = kNone;
  std::uint64_t cache_write_1h = kNone;
  std::uint64_t output = kNone;
  std::uint64_t input_audio = kNone;
  std::uint64_t output_audio = kNone;
  template <class F>
  void fields(F& f) {
    f(origin, is_operators, service, model, any_kind, kind, above_input, input, cache_read,
      cache_write_5m, cache_write_1h, output, input_audio, output_audio);
  }
  friend bool operator==(const PriceSpec&, const PriceSpec&) = default;
};

struct Snapshot {
  std::uint64_t generation = 0;
  std::vector<ServiceSpec> services;
  std::vector<RuleSpec> rules;
  NetworkSpec network;
  std::vector<PriceSpec> prices;
  // Control's public keys (Ed25519, 32 bytes each) by which run tokens are verified: of two, one is
  // on its way out.
  std::vector<std::string> run_token_keys;
  template <class F>
  void fields(F& f) {
    f(generation, services, rules, network, prices, run_token_keys);
  }
};

}  // namespace gatehouse::ipc
