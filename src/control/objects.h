// SPDX-License-Identifier: Apache-2.0
// What an operator describes: tenants; their people, groups, service accounts, the issuers that
// know them and the roles they have; services, agents and their rules. Plain values; the config
// file and the state store hold the same ones. None can hold a secret.
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

enum class Kind : std::uint8_t {
  kTenant,
  kUser,
  kService,
  kAgent,
  kRule,
  kGroup,
  kAccount,
  kIssuer,
  kBinding,
};
inline constexpr std::size_t kKinds = 9;
[[nodiscard]] std::string_view text(Kind kind);
[[nodiscard]] std::optional<Kind> kind_named(std::string_view name);

struct Tenant {
  static constexpr Kind kKind = Kind::kTenant;
  std::string name;
  std::string title;  // for people, "" for none
  template <class F>
  void fields(F& f) {
    f("title", title);
  }
  friend bool operator==(const Tenant&, const Tenant&) = default;
};

// Whom an issuer of the tenant's means by a subject (`sub` of OpenID Connect Core 1.0 section 2).
struct Login {
  std::string issuer;  // the issuer object's name
  std::string subject;
  template <class F>
  void fields(F& f) {
    f("issuer", issuer), f("subject", subject);
  }
  friend bool operator==(const Login&, const Login&) = default;
};

struct User {
  static constexpr Kind kKind = Kind::kUser;
  std::string tenant;
  std::string name;
  std::optional<Login> login;  // none: agents run for them, but they do not sign in
  template <class F>
  void fields(F& f) {
    f("login", login);
  }
  friend bool operator==(const User&, const User&) = default;
};

// Its members are those that are named, and who signs in with that value in the issuer's groups
// claim.
struct Group {
  static constexpr Kind kKind = Kind::kGroup;
  std::string tenant;
  std::string name;
  std::vector<std::string> members;  // users
  std::string issuer;                // of the claim; both or neither
  std::string claim;
  template <class F>
  void fields(F& f) {
    f("members", members), f("issuer", issuer), f("claim", claim);
  }
  friend bool operator==(const Group&, const Group&) = default;
};

// A service account: a program that shows a token of an issuer's, for this audience and with this
// subject (workload identity federation). It is nobody itself that agents could act for: it may
// begin Runs on behalf of the users that it names.
struct Account {
  static constexpr Kind kKind = Kind::kAccount;
  std::string tenant;
  std::string name;
  std::string issuer;
  std::string audience;
  std::string subject;
  std::vector<std::string> runs_for;  // users
  template <class F>
  void fields(F& f) {
    f("issuer", issuer), f("audience", audience), f("subject", subject);
    f("runs_for", runs_for);
  }
  friend bool operator==(const Account&, const Account&) = default;
};

// An OpenID Connect issuer that the tenant trusts to say who somebody is.
struct Issuer {
  static constexpr Kind kKind = Kind::kIssuer;
  std::string tenant;
  std::string name;
  std::string url;                  // exactly the `iss` of its tokens
  std::string client_id;            // for people's logins; "": for service accounts only
  std::vector<std::string> scopes;  // asked for beside openid
  std::string groups_claim;         // "" for none
  std::string ca_pem;               // additional trust anchors, "" for none
  bool allow_private = false;       // loopback and private addresses, and plain http on loopback
  template <class F>
  void fields(F& f) {
    f("url", url), f("client_id", client_id), f("scopes", scopes);
    f("groups_claim", groups_claim), f("ca", ca_pem), f("allow_private", allow_private);
  }
  friend bool operator==(const Issuer&, const Issuer&) = default;
};

// That a user, a group or a service account has a role in its tenant. Its name is all that it says:
// `ROLE.user.NAME`.
struct Binding {
  static constexpr Kind kKind = Kind::kBinding;
  std::string tenant;
  std::string role;
  Kind subject_kind = Kind::kUser;  // a user, a group or an account
  std::string subject;
  template <class F>
  void fields(F& f) {
    f("role", role), f("subject_kind", subject_kind), f("subject", subject);
  }
  friend bool operator==(const Binding&, const Binding&) = default;
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
  // AWS Signature Version 4; "" for the others.
  std::string region;
  std::string service;
  template <class F>
  void fields(F& f) {
    f("kind", kind), f("header", header), f("prefix", prefix);
    f("region", region), f("service", service);
    f("authorization_endpoint", authorization_endpoint), f("token_endpoint", token_endpoint);
    f("revocation_endpoint", revocation_endpoint), f("issuer", issuer);
    f("client_id", client_id), f("scopes", scopes);
  }
  friend bool operator==(const Credential&, const Credential&) = default;
};

// The header that a provider of that kind wants its credential in, unless the config says another.
[[nodiscard]] std::string_view usual_header(ipc::ServiceKind kind);

[[nodiscard]] bool is_model_provider(ipc::ServiceKind kind);

// Whole seconds; what is not said is ipc::Timeouts' own.
struct Timeouts {
  std::uint32_t connect_s = ipc::Timeouts().connect_s;
  std::uint32_t first_byte_s = ipc::Timeouts().first_byte_s;
  std::uint32_t idle_s = ipc::Timeouts().idle_s;
  std::uint32_t total_s = ipc::Timeouts().total_s;
  template <class F>
  void fields(F& f) {
    f("connect", connect_s), f("first_byte", first_byte_s), f("idle", idle_s);
    f("total", total_s);
  }
  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

// Who the gateways are to a service's upstream: files (PEM) on the house's host.
struct ClientCertificate {
  std::string certificate;  // a chain, the leaf first
  std::string key;
  template <class F>
  void fields(F& f) {
    f("certificate", certificate), f("key", key);
  }
  friend bool operator==(const ClientCertificate&, const ClientCertificate&) = default;
};

// One place where a model of a model route lives.
struct ModelTarget {
  std::string service;
  std::string model;  // as it is called there
  std::uint32_t tier = 1;
  std::uint32_t weight = 1;
  std::string prefix;  // in front of OpenAI's endpoints there; "" for that of the request
  template <class F>
  void fields(F& f) {
    f("service", service), f("model", model), f("tier", tier), f("weight", weight);
    f("prefix", prefix);
  }
  friend bool operator==(const ModelTarget&, const ModelTarget&) = default;
};

// A model route: a name that agents may ask a service for, and what stands behind it.
struct ModelRoute {
  std::string name;
  bool by_exchange = false;  // shared out by the exchange, else by the Run
  std::uint32_t retries = kRetriesUsual;
  std::uint32_t retry_percent = kRetryPercentUsual;
  std::vector<ModelTarget> targets;
  template <class F>
  void fields(F& f) {
    f("name", name), f("by_exchange", by_exchange), f("retries", retries);
    f("retry_percent", retry_percent), f("targets", targets);
  }
  friend bool operator==(const ModelRoute&, const ModelRoute&) = default;

  static constexpr std::uint32_t kRetriesUsual = 2;
  static constexpr std::uint32_t kRetryPercentUsual = 20;
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
  bool include_usage = true;  // asked for in streams of OpenAI chats
  bool drains = false;        // an answer whose agent has left
  Timeouts timeouts;
  std::uint32_t concurrency = 0;  // exchanges at a time; 0: any number
  bool http2 = true;              // is offered to an upstream in TLS
  std::string spiffe_id;          // of the upstream, "" where it is known by its host
  std::optional<ClientCertificate> client_certificate;
  std::vector<ModelRoute> models;
  template <class F>
  void fields(F& f) {
    f("kind", kind), f("url", url), f("upstream", upstream), f("upstream_ca", upstream_ca_pem);
    f("allow_private", allow_private), f("credential", credential), f("shared", shared);
    f("intent", intent), f("include_usage", include_usage), f("drain", drains);
    f("timeouts", timeouts), f("concurrency", concurrency), f("http2", http2);
    f("spiffe_id", spiffe_id), f("client_certificate", client_certificate);
    f("models", models);
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
  std::vector<std::string> provider_tools;
  std::vector<std::string> operations;
  std::vector<std::string> models;
  template <class F>
  void fields(F& f) {
    f("agent", agent), f("id", id), f("service", service), f("hosts", hosts);
    f("methods", methods), f("paths", paths), f("tools", tools);
    f("provider_tools", provider_tools), f("operations", operations), f("models", models);
  }
  friend bool operator==(const Rule&, const Rule&) = default;
};

using Object = std::variant<Tenant, User, Service, Agent, Rule, Group, Account, Issuer, Binding>;
[[nodiscard]] Kind kind_of(const Object& object);
[[nodiscard]] const std::string& tenant_of(const Object& object);  // a tenant's own name
[[nodiscard]] std::string name_of(const Object& object);

// What an object names and cannot be without, in its own tenant.
struct Reference {
  Kind kind;
  std::string name;
  friend auto operator<=>(const Reference&, const Reference&) = default;
};
[[nodiscard]] std::vector<Reference> references_of(const Object& object);
// What no two objects of a tenant may have in common, beside kind and name: the place of a service,
// the person behind a login, the program behind an account. "" for none.
[[nodiscard]] std::string identity_of(const Object& object);

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
