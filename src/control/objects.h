// SPDX-License-Identifier: Apache-2.0
// What an operator describes: tenants, users, services, agents and their rules. Plain values; the
// config file and the state store hold the same ones. None can hold a secret.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "ipc/snapshot.h"

namespace gatehouse::control {

inline constexpr std::string_view kDefaultTenant = "default";

// Who may change an object: only the file, or only the API.
enum class Source : std::uint8_t { kFile, kApi };
[[nodiscard]] std::string_view text(Source source);

enum class Kind : std::uint8_t { kTenant, kUser, kService, kAgent, kRule };
inline constexpr std::size_t kKinds = 5;
[[nodiscard]] std::string_view text(Kind kind);
[[nodiscard]] std::optional<Kind> kind_named(std::string_view name);

struct Tenant {
  static constexpr Kind kKind = Kind::kTenant;
  std::string name;
  template <class F>
  void fields(F&) {}
  friend bool operator==(const Tenant&, const Tenant&) = default;
};

struct User {
  static constexpr Kind kKind = Kind::kUser;
  std::string tenant;
  std::string name;
  template <class F>
  void fields(F&) {}
  friend bool operator==(const User&, const User&) = default;
};

// How a service wants to be shown its credential, and where it comes from. The value itself is the
// vault's alone.
struct Credential {
  std::string kind;    // "static" or "oauth"
  std::string header;  // lower case
  std::string prefix;  // "Bearer "
  // OAuth 2.0 (RFC 6749); "" for static keys.
  std::string authorization_endpoint;
  std::string token_endpoint;
  std::string revocation_endpoint;
  std::string issuer;
  std::string client_id;
  std::vector<std::string> scopes;
  template <class F>
  void fields(F& f) {
    f("kind", kind), f("header", header), f("prefix", prefix);
    f("authorization_endpoint", authorization_endpoint), f("token_endpoint", token_endpoint);
    f("revocation_endpoint", revocation_endpoint), f("issuer", issuer);
    f("client_id", client_id), f("scopes", scopes);
  }
  friend bool operator==(const Credential&, const Credential&) = default;
};

struct Service {
  static constexpr Kind kKind = Kind::kService;
  std::string tenant;
  std::string name;
  ipc::ServiceKind kind = ipc::ServiceKind::kHttp;
  std::string url;              // an origin: how the agent names it
  std::string upstream;         // where the gateway dials, with a base path
  std::string upstream_ca_pem;  // additional trust anchors, "" for none
  bool allow_private = false;
  std::optional<Credential> credential;
  bool shared = false;  // one Connection of the tenant's serves every user
  std::vector<std::string> intent;
  template <class F>
  void fields(F& f) {
    f("kind", kind), f("url", url), f("upstream", upstream), f("upstream_ca", upstream_ca_pem);
    f("allow_private", allow_private), f("credential", credential), f("shared", shared);
    f("intent", intent);
  }
  friend bool operator==(const Service&, const Service&) = default;
};

struct Toolbox {
  std::string source;  // on the host
  std::string target;  // inside
  template <class F>
  void fields(F& f) {
    f("source", source), f("target", target);
  }
  friend bool operator==(const Toolbox&, const Toolbox&) = default;
};

struct Agent {
  static constexpr Kind kKind = Kind::kAgent;
  std::string tenant;
  std::string name;
  std::vector<std::string> command;  // what `run` starts when it is given no command
  std::string volume;                // name of the home volume
  std::string skeleton;  // host directory; what a new volume begins with, "" for nothing
  std::vector<Toolbox> toolbox;
  std::map<std::string, std::string> environment;  // values may hold {{placeholder:SERVICE}}
  std::vector<std::string> read_only;              // files of the home volume
  std::uint64_t memory_most_bytes = 0;             // 0: the sandbox's default
  std::uint32_t pids_most = 0;
  std::uint32_t leases_per_second = 0;  // of one Run; 0: the vault's default
  template <class F>
  void fields(F& f) {
    f("command", command), f("volume", volume), f("skeleton", skeleton);
    f("toolbox", toolbox);
    f("environment", environment), f("read_only", read_only);
    f("memory_bytes", memory_most_bytes), f("pids", pids_most);
    f("leases_per_second", leases_per_second);
  }
  friend bool operator==(const Agent&, const Agent&) = default;
};

// One allow rule of one agent. Ids are unique within the agent; the store's name of a rule is
// `agent/id`.
struct Rule {
  static constexpr Kind kKind = Kind::kRule;
  std::string tenant;
  std::string agent;
  std::string id;
  std::string service;  // or "" with hosts
  std::vector<std::string> hosts;
  std::vector<std::string> methods;
  std::vector<std::string> paths;
  std::vector<std::string> tools;
  template <class F>
  void fields(F& f) {
    f("agent", agent), f("id", id), f("service", service), f("hosts", hosts);
    f("methods", methods), f("paths", paths), f("tools", tools);
  }
  friend bool operator==(const Rule&, const Rule&) = default;
};

using Object = std::variant<Tenant, User, Service, Agent, Rule>;
[[nodiscard]] Kind kind_of(const Object& object);
[[nodiscard]] const std::string& tenant_of(const Object& object);  // a tenant's own name
[[nodiscard]] std::string name_of(const Object& object);

// Objects as JSON, without tenant and name, which are their keys.
[[nodiscard]] std::string definition_of(const Object& object);
// Errors: kCorrupt.
[[nodiscard]] Result<Object> object_from(Kind kind, std::string tenant, std::string name,
                                         std::string_view definition);

// The services that the text of an environment value names as {{placeholder:SERVICE}}. Errors:
// kInvalid for braces that are anything else.
[[nodiscard]] Result<std::vector<std::string>> placeholders_in(std::string_view text);
// The text with each of them replaced. Errors: kNotFound, whose message is the name of the service
// without a value.
[[nodiscard]] Result<std::string> with_placeholders(
    std::string_view text, const std::map<std::string, std::string>& values);

}  // namespace gatehouse::control
