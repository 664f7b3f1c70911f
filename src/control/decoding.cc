// SPDX-License-Identifier: Apache-2.0
#include "control/decoding.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base/encoding.h"
#include "control/model_routes.h"
#include "control/rights.h"
#include "control/settings.h"
#include "control/values.h"
#include "ipc/llm_provider.h"
#include "net/spiffe.h"
#include "wire/a2a.h"
#include "wire/llm_endpoint.h"
#include "wire/path.h"
#include "wire/url.h"

namespace gatehouse::control {
namespace {

constexpr std::size_t kListMost = 4096;  // objects of one kind
constexpr std::uint64_t kPidsMost = 1'000'000;
constexpr std::uint64_t kLeasesPerSecondMost = 1'000'000;
constexpr std::uint64_t kConcurrencyMost = 1'000'000;
constexpr std::uint64_t kMemoryLeast = 16ULL << 20;

// One pass over the document; problems gather and the rest is read on.
class Decoding {
 public:
  // `config` begins with what is known already.
  Decoding(const ReadNamed& read, Problems& problems, Config config = {})
      : read_(read), problems_(problems), config_(std::move(config)) {
    for (const Issuer& issuer : config_.issuers) know(issuer);
    for (const User& user : config_.users) know(user);
    for (const Group& group : config_.groups) know(group);
    for (const Account& account : config_.accounts) know(account);
  }

  // One object of a kind, in the one tenant that is known.
  Config decode_one(Kind kind, const Yaml& node, const Agent& of_agent) {
    switch (kind) {
      case Kind::kTenant:
        decode_tenant(node);
        break;
      case Kind::kUser:
        decode_user(node);
        break;
      case Kind::kService:
        decode_service(node);
        check_models();
        break;
      case Kind::kAgent:
        decode_agent(node, Rules::kApart);
        break;
      case Kind::kRule:
        decode_rule(node, of_agent);
        break;
      case Kind::kGroup:
        decode_group(node);
        break;
      case Kind::kAccount:
        decode_account(node);
        break;
      case Kind::kIssuer:
        decode_issuer(node);
        break;
      case Kind::kBinding:
        decode_binding(node);
        break;
    }
    return std::move(config_);
  }

  Config decode(const Yaml& document) {
    Section file(document, "the file", problems_);
    const Yaml* version = file.value("version", Need::kRequired);
    if (version != nullptr && (version->type != Yaml::Type::kScalar || version->text != "1")) {
      file.problem("version", fmt::format("version must be 1, and this is \"{}\"",
                                          printable(version->text.substr(0, kNameMost))));
    }
    decode_settings(file, read_, problems_, config_);
    decode_tenants(file);
    for (const Yaml& node : items(file, "issuers")) decode_issuer(node);
    for (const Yaml& node : items(file, "users")) decode_user(node);
    for (const Yaml& node : items(file, "groups")) decode_group(node);
    for (const Yaml& node : items(file, "accounts")) decode_account(node);
    for (const Yaml& node : items(file, "bindings")) decode_binding(node);
    for (const Yaml& node : items(file, "services")) decode_service(node);
    check_models();
    for (const Yaml& node : items(file, "agents")) decode_agent(node, Rules::kWithin);
    file.finish();
    return std::move(config_);
  }

 private:
  // Whether an agent's rules stand in it, or are objects of their own.
  enum class Rules : std::uint8_t { kWithin, kApart };

  const std::vector<Yaml>& items(Section& section, std::string_view key) {
    const std::vector<Yaml>& list = section.list(key);
    if (list.size() > kListMost) {
      section.problem(key, fmt::format("{} may have at most {} items", key, kListMost),
                      ProblemKind::kTooLarge);
    }
    return list;
  }

  std::string name(Section& section, std::string_view key, std::string_view what) {
    const auto name = section.string(key, Need::kRequired);
    if (name && !is_name(*name)) {
      section.problem(key, fmt::format("{} of {} is lower-case letters, digits, \"-\", \"_\" and "
                                       "\".\", at most {}, and begins with a letter or digit",
                                       key, what, kNameMost));
    }
    return name.value_or("");
  }

  // Reports a name that was there before, with its line.
  void once(Section& section, std::string_view key, const Yaml& node, const std::string& identity,
            std::string_view what) {
    const auto [before, added] = seen_.emplace(identity, node.line);
    if (!added) {
      section.problem(key, fmt::format("{} is there already, at line {}", what, before->second),
                      ProblemKind::kGivenTwice);
    }
  }

  void decode_tenants(Section& file) {
    const Yaml* given = file.value("tenants");
    if (given == nullptr) {
      config_.tenants.push_back({std::string(kDefaultTenant), ""});
      return;
    }
    for (const Yaml& node : items(file, "tenants")) {
      decode_tenant(node);
    }
    if (config_.tenants.empty() && given->type == Yaml::Type::kList) {
      file.problem("tenants", "tenants must name one at least, or be left out");
    }
  }

  void decode_tenant(const Yaml& node) {
    Section section(node, "a tenant", problems_);
    Tenant tenant;
    tenant.name = name(section, "name", "a tenant");
    tenant.title = line(section, "title");
    once(section, "name", node, "tenant " + tenant.name, "tenant " + tenant.name);
    section.finish();
    config_.tenants.push_back(std::move(tenant));
  }

  std::string tenant(Section& section, std::string_view what) {
    const auto named = section.string("tenant", Need::kOptional);
    if (named) {
      const bool known = std::any_of(config_.tenants.begin(), config_.tenants.end(),
                                     [&](const Tenant& t) { return t.name == *named; });
      if (!known) {
        std::vector<std::string> names;
        for (const Tenant& t : config_.tenants) names.push_back(t.name);
        section.problem("tenant", unknown("tenant", *named, names), ProblemKind::kUnknownName);
      }
      return *named;
    }
    if (config_.tenants.size() == 1) return config_.tenants.front().name;
    section.problem(
        "tenant",
        fmt::format("{} must say its tenant, because there are {}", what, config_.tenants.size()),
        ProblemKind::kWrongTogether);
    return "";
  }

  static std::string unknown(std::string_view kind, std::string_view name,
                             const std::vector<std::string>& known) {
    const auto meant = nearest(name, known);
    return fmt::format("there is no {} \"{}\"{}", kind, printable(name.substr(0, kNameMost)),
                       meant ? fmt::format(", did you mean \"{}\"?", *meant) : "");
  }

  void decode_user(const Yaml& node) {
    Section section(node, "a user", problems_);
    User user;
    user.name = name(section, "name", "a user");
    user.tenant = tenant(section, "a user");
    once(section, "name", node, fmt::format("user {}\n{}", user.tenant, user.name),
         "user " + user.name);
    if (const Yaml* login = section.value("login")) {
      Section of(*login, "a login", problems_);
      user.login = Login{required_line(of, "issuer"), required_line(of, "subject")};
      names(of, "issuer", Kind::kIssuer, user.tenant, user.login->issuer);
      of.finish();
      once(section, "login", node,
           fmt::format("login {}\n{}\n{}", user.tenant, user.login->issuer, user.login->subject),
           "a user with this login");
    }
    section.finish();
    know(user);
    config_.users.push_back(std::move(user));
  }

  // That there is such an object in the tenant.
  void names(Section& section, std::string_view key, Kind kind, const std::string& tenant,
             const std::string& name) {
    if (name.empty() || section.value(key) == nullptr) return;
    if (known_.contains({kind, tenant, name})) return;
    std::vector<std::string> others;
    for (auto at = known_.lower_bound({kind, tenant, ""}); at != known_.end(); ++at) {
      if (std::get<0>(*at) != kind || std::get<1>(*at) != tenant) break;
      others.push_back(std::get<2>(*at));
    }
    section.problem(key, unknown(text(kind), name, others), ProblemKind::kUnknownName);
  }
  template <class T>
  void know(const T& object) {
    known_.emplace(T::kKind, object.tenant, name_of(Object(object)));
  }

  void decode_group(const Yaml& node) {
    Section section(node, "a group", problems_);
    Group group;
    group.name = name(section, "name", "a group");
    group.tenant = tenant(section, "a group");
    once(section, "name", node, fmt::format("group {}\n{}", group.tenant, group.name),
         "group " + group.name);
    group.members = section.strings("members");
    for (const std::string& member : group.members) {
      names(section, "members", Kind::kUser, group.tenant, member);
    }
    group.issuer = line(section, "issuer");
    group.claim = line(section, "claim");
    names(section, "issuer", Kind::kIssuer, group.tenant, group.issuer);
    if (group.issuer.empty() != group.claim.empty()) {
      section.problem("claim", "issuer and claim go together: whose groups claim, and its value",
                      ProblemKind::kWrongTogether);
    }
    section.finish();
    know(group);
    config_.groups.push_back(std::move(group));
  }

  void decode_account(const Yaml& node) {
    Section section(node, "an account", problems_);
    Account account;
    account.name = name(section, "name", "an account");
    account.tenant = tenant(section, "an account");
    once(section, "name", node, fmt::format("account {}\n{}", account.tenant, account.name),
         "account " + account.name);
    account.issuer = required_line(section, "issuer");
    account.audience = required_line(section, "audience");
    account.subject = required_line(section, "subject");
    names(section, "issuer", Kind::kIssuer, account.tenant, account.issuer);
    once(section, "subject", node,
         fmt::format("account {}\n{}\n{}\n{}", account.tenant, account.issuer, account.audience,
                     account.subject),
         "an account of this issuer, audience and subject");
    account.runs_for = section.strings("runs_for");
    for (const std::string& user : account.runs_for) {
      names(section, "runs_for", Kind::kUser, account.tenant, user);
    }
    section.finish();
    know(account);
    config_.accounts.push_back(std::move(account));
  }

  void decode_issuer(const Yaml& node) {
    Section section(node, "an issuer", problems_);
    Issuer issuer;
    issuer.name = name(section, "name", "an issuer");
    issuer.tenant = tenant(section, "an issuer");
    once(section, "name", node, fmt::format("issuer {}\n{}", issuer.tenant, issuer.name),
         "issuer " + issuer.name);
    issuer.allow_private = section.boolean_or("allow_private", false);
    issuer.url = endpoint(section, "url", Need::kRequired, issuer.allow_private);
    if (issuer.url.contains('?')) section.problem("url", "url of an issuer has no query");
    once(section, "url", node, fmt::format("issuer {}\n{}", issuer.tenant, issuer.url),
         "an issuer at " + printable(issuer.url));
    issuer.client_id = section.string_or("client_id", "");
    issuer.groups_claim = line(section, "groups_claim");
    issuer.scopes = section.strings("scopes");
    issuer.ca_pem = certificate(section, "ca", read_);
    if (!is_plain(issuer.client_id)) {
      section.problem("client_id", "client_id must be printable ASCII");
    }
    check_scopes(section, issuer.scopes);
    section.finish();
    know(issuer);
    config_.issuers.push_back(std::move(issuer));
  }

  void decode_binding(const Yaml& node) {
    Section section(node, "a binding", problems_);
    Binding binding;
    binding.tenant = tenant(section, "a binding");
    const std::vector<std::string_view> roles = role_names();
    binding.role = roles.at(section.word("role", roles, Need::kRequired));
    int subjects = 0;
    for (const Kind kind : {Kind::kUser, Kind::kGroup, Kind::kAccount}) {
      const auto named = section.string(text(kind), Need::kOptional);
      if (!named) continue;
      ++subjects;
      binding.subject_kind = kind;
      binding.subject = *named;
      names(section, text(kind), kind, binding.tenant, *named);
    }
    if (subjects != 1) {
      section.problem("role", "a binding gives a role to one user, one group or one account",
                      ProblemKind::kWrongTogether);
    }
    once(section, "role", node, fmt::format("binding {}\n{}", binding.tenant, name_of(binding)),
         "this binding");
    section.finish();
    config_.bindings.push_back(std::move(binding));
  }

  // --- services

  void decode_service(const Yaml& node) {
    Section section(node, "a service", problems_);
    Service service;
    service.name = name(section, "name", "a service");
    service.tenant = tenant(section, "a service");
    once(section, "name", node, fmt::format("service {}\n{}", service.tenant, service.name),
         "service " + service.name);
    const std::vector<std::string_view> kinds(ipc::kServiceKindNames.begin(),
                                              ipc::kServiceKindNames.end());
    service.kind = static_cast<ipc::ServiceKind>(section.word("kind", kinds, Need::kRequired));
    decode_place(section, node, service);
    service.upstream_ca_pem = certificate(section, "upstream_ca", read_);
    service.allow_private = section.boolean_or("allow_private", false);
    if (const Yaml* credential = section.value("credential")) {
      service.credential = decode_credential(*credential, service);
    }
    service.shared = section.word("scope", {"user", "tenant"}, Need::kOptional) == 1;
    service.intent = patterns(section, "intent");
    service.include_usage = section.boolean_or("include_usage", true);
    service.drains = section.word("on_disconnect", {"cancel", "drain"}, Need::kOptional) == 1;
    service.timeouts = timeouts(section, "timeouts", problems_);
    service.concurrency =
        static_cast<std::uint32_t>(section.number_or("concurrency", 0, kConcurrencyMost));
    service.http2 = section.boolean_or("http2", true);
    decode_workload(section, service);
    service.models = model_routes(section, service.kind, problems_);
    if (const Yaml* models = section.value("models")) routing_.emplace_back(service, models);
    section.finish();
    config_.services.push_back(std::move(service));
  }

  // Who the upstream is, and who we are to it, in TLS.
  void decode_workload(Section& section, Service& service) {
    const bool is_tls = service.upstream.starts_with("https:");
    if (const auto id = section.string("spiffe_id", Need::kOptional)) {
      const auto parsed = net::SpiffeId::parse(*id);
      if (!parsed) section.problem("spiffe_id", "spiffe_id: " + parsed.error().message());
      if (!is_tls || service.upstream_ca_pem.empty()) {
        section.problem("spiffe_id",
                        "spiffe_id needs an upstream of https and, as upstream_ca, the bundle of "
                        "its trust domain: no other authority counts",
                        ProblemKind::kWrongTogether);
      }
      service.spiffe_id = *id;
    }
    const Yaml* own = section.value("client_certificate");
    if (own == nullptr) return;
    Section of(*own, "a client certificate", problems_);
    service.client_certificate =
        ClientCertificate{required_line(of, "certificate"), required_line(of, "key")};
    of.finish();
    if (!is_tls) {
      section.problem("client_certificate", "client_certificate needs an upstream of https",
                      ProblemKind::kWrongTogether);
    }
  }

  // What model routes lead to may stand behind them.
  void check_models() {
    for (const auto& [service, models] : routing_) {
      check_model_routes(*models, service, problems_, [&](const std::string& name) {
        // Of a service that is replaced, there are two: the last is what will be.
        const auto found = std::find_if(
            config_.services.rbegin(), config_.services.rend(), [&](const Service& other) {
              return other.tenant == service.tenant && other.name == name;
            });
        return found == config_.services.rend() ? nullptr : &*found;
      });
    }
  }

  void decode_place(Section& section, const Yaml& node, Service& service) {
    if (const auto url = section.string("url", Need::kRequired)) {
      if (const auto parsed = wire::Url::parse(*url); !parsed) {
        section.problem("url", "url: " + parsed.error().message());
      } else if (parsed->path_and_query != "/") {
        section.problem("url",
                        "url names a host as the agent does: scheme://host[:port], "
                        "without a path");
      } else {
        service.url = parsed->origin();
        once(section, "url", node,
             fmt::format("place {}\n{}\n{}", service.tenant, parsed->host.text(), parsed->port),
             fmt::format("a service at {}:{}", parsed->host.text(), parsed->port));
      }
    }
    if (const auto upstream = section.string("upstream", Need::kRequired)) {
      const auto parsed = wire::Url::parse(*upstream);
      if (!parsed) {
        section.problem("upstream", "upstream: " + parsed.error().message());
        return;
      }
      std::string path = parsed->path_and_query;
      while (path.ends_with('/')) path.pop_back();
      const auto canonical = wire::canonical_path(path.empty() ? "/" : path);
      if (path.contains('?') || !canonical) {
        section.problem("upstream",
                        "upstream is scheme://host[:port] and a plain path, without "
                        "a query");
        return;
      }
      service.upstream = parsed->origin() + path;
    }
  }

  Credential decode_credential(const Yaml& node, const Service& of) {
    const bool allow_private = of.allow_private;
    Section section(node, "a credential", problems_);
    Credential credential;
    const std::vector<std::string_view> kinds = {"static", "oauth", "sigv4"};
    credential.kind = kinds.at(section.word("kind", kinds, Need::kRequired));
    if (credential.kind == "sigv4") return decode_signing(section, std::move(credential));
    const bool oauth = credential.kind == "oauth";
    credential.header = section.string_or("header", std::string(usual_header(of.kind)));
    std::transform(credential.header.begin(), credential.header.end(), credential.header.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (!is_token(credential.header)) {
      section.problem("header", "header must be the name of an HTTP header");
    }
    const bool bearer = credential.header == "authorization";
    credential.prefix = section.string_or("prefix", bearer ? "Bearer " : "");
    if (!is_plain(credential.prefix)) {
      section.problem("prefix", "prefix must be printable ASCII");
    }
    const Need need = oauth ? Need::kRequired : Need::kOptional;
    credential.authorization_endpoint =
        endpoint(section, "authorization_endpoint", need, allow_private);
    credential.token_endpoint = endpoint(section, "token_endpoint", need, allow_private);
    credential.revocation_endpoint =
        endpoint(section, "revocation_endpoint", Need::kOptional, allow_private);
    credential.issuer = section.string_or("issuer", "");
    credential.client_id = section.string("client_id", need).value_or("");
    credential.scopes = section.strings("scopes");
    if (!oauth) refuse_oauth_keys(section);
    refuse_keys(section, {"region", "service"}, "sigv4", credential.kind);
    if (!is_plain(credential.client_id) || !is_plain(credential.issuer)) {
      section.problem("client_id", "client_id and issuer must be printable ASCII");
    }
    check_scopes(section, credential.scopes);
    section.finish();
    return credential;
  }

  // The vault signs with a key pair: there is no header to choose.
  static Credential decode_signing(Section& section, Credential credential) {
    credential.header = "authorization";
    credential.region = section.string("region", Need::kRequired).value_or("");
    credential.service = section.string_or("service", "bedrock");
    for (const std::string_view key : {"region", "service"}) {
      const std::string& value = key == "region" ? credential.region : credential.service;
      if (section.value(key) != nullptr && !is_name(value)) {
        section.problem(key, fmt::format("{} must be as AWS calls it: us-east-1, bedrock", key));
      }
    }
    refuse_keys(section, {"header", "prefix"}, "static or oauth", credential.kind);
    refuse_oauth_keys(section);
    section.finish();
    return credential;
  }

  static void refuse_oauth_keys(Section& section) {
    refuse_keys(section,
                {"authorization_endpoint", "token_endpoint", "revocation_endpoint", "issuer",
                 "client_id", "scopes"},
                "oauth", section.value("kind") == nullptr ? "" : section.value("kind")->text);
  }

  static void refuse_keys(Section& section, std::initializer_list<std::string_view> keys,
                          std::string_view of, std::string_view kind) {
    for (const std::string_view key : keys) {
      if (section.value(key) == nullptr) continue;
      section.problem(key,
                      fmt::format("{} belongs to a credential of kind {}, and this one is {}", key,
                                  of, printable(kind.substr(0, 16))),
                      ProblemKind::kWrongTogether);
    }
  }

  // --- agents

  void decode_agent(const Yaml& node, Rules rules) {
    Section section(node, "an agent", problems_);
    Agent agent;
    agent.name = name(section, "name", "an agent");
    agent.tenant = tenant(section, "an agent");
    once(section, "name", node, fmt::format("agent {}\n{}", agent.tenant, agent.name),
         "agent " + agent.name);
    agent.command = section.strings("command");
    agent.volume = section.string_or("volume", "home");
    if (!is_name(agent.volume)) section.problem("volume", "volume must be a plain name");
    agent.skeleton = section.string_or("skeleton", "");
    if (!agent.skeleton.empty()
        && !(agent.skeleton.starts_with('/') && is_clean_path(agent.skeleton))) {
      section.problem("skeleton",
                      "skeleton must be an absolute path on the host, without . and ..");
    }
    agent.toolbox = decode_toolbox(section);
    decode_environment(section, agent);
    agent.read_only = section.strings("read_only");
    for (const std::string& file : agent.read_only) {
      if (file.starts_with('/') || !is_clean_path(file)) {
        section.problem("read_only", fmt::format("\"{}\" must be a path inside the home volume, "
                                                 "without . and ..",
                                                 printable(file.substr(0, kNameMost))));
      }
    }
    agent.memory_most_bytes = section.bytes_or("memory", 0);
    if (agent.memory_most_bytes != 0 && agent.memory_most_bytes < kMemoryLeast) {
      section.problem("memory", "memory must be 16MiB at least: less does not start a program");
    }
    agent.pids_most = static_cast<std::uint32_t>(section.number_or("pids", 0, kPidsMost));
    agent.leases_per_second =
        static_cast<std::uint32_t>(section.number_or("leases_per_second", 0, kLeasesPerSecondMost));
    if (rules == Rules::kWithin) {
      for (const Yaml& rule : items(section, "rules")) decode_rule(rule, agent);
    }
    section.finish();
    config_.agents.push_back(std::move(agent));
  }

  static std::vector<Toolbox> decode_toolbox(Section& section) {
    std::vector<Toolbox> out;
    for (const std::string& text : section.strings("toolbox")) {
      const std::size_t colon = text.find(':');
      Toolbox box{text.substr(0, colon),
                  colon == std::string::npos ? text : text.substr(colon + 1)};
      for (const std::string& path : {box.source, box.target}) {
        if (path.starts_with('/') && is_clean_path(path)) continue;
        section.problem("toolbox", fmt::format("\"{}\" must be an absolute path on the host, or "
                                               "HOST:INSIDE, without . and ..",
                                               printable(text)));
        break;
      }
      out.push_back(std::move(box));
    }
    return out;
  }

  void decode_environment(Section& section, Agent& agent) {
    for (const auto& [key, value] : section.map("environment")) {
      const auto wrong = [&](const Yaml& where, std::string what,
                             ProblemKind kind = ProblemKind::kWrongValue) {
        problems_.push_back({where.line, where.column, std::move(what), kind});
      };
      if (key.type != Yaml::Type::kScalar || !is_variable(key.text)) {
        wrong(key, "the name of an environment variable is letters, digits and \"_\"");
        continue;
      }
      if (value.type != Yaml::Type::kScalar || value.text.contains('\0')) {
        wrong(value, fmt::format("the value of {} must be a string", key.text),
              ProblemKind::kWrongType);
        continue;
      }
      if (!agent.environment.emplace(key.text, value.text).second) {
        wrong(key, fmt::format("\"{}\" is given twice", key.text), ProblemKind::kGivenTwice);
      }
      const auto named = placeholders_in(value.text);
      if (!named) {
        wrong(value, named.error().message());
        continue;
      }
      for (const std::string& service : *named) {
        const Service* found = service_named(agent.tenant, service);
        if (found == nullptr) {
          wrong(value, unknown("service", service, service_names(agent.tenant)),
                ProblemKind::kUnknownName);
        } else if (!found->credential) {
          wrong(value,
                fmt::format("service \"{}\" has no credential, so it has no placeholder", service),
                ProblemKind::kUnknownName);
        }
      }
    }
  }

  const Service* service_named(std::string_view tenant, std::string_view name) const {
    for (const Service& service : config_.services) {
      if (service.tenant == tenant && service.name == name) return &service;
    }
    return nullptr;
  }
  std::vector<std::string> service_names(std::string_view tenant) const {
    std::vector<std::string> names;
    for (const Service& service : config_.services) {
      if (service.tenant == tenant) names.push_back(service.name);
    }
    return names;
  }

  void decode_rule(const Yaml& node, const Agent& agent) {
    Section section(node, "a rule", problems_);
    Rule rule;
    rule.tenant = agent.tenant;
    rule.agent = agent.name;
    rule.id = name(section, "id", "a rule");
    once(section, "id", node, fmt::format("rule {}\n{}\n{}", agent.tenant, agent.name, rule.id),
         "rule " + rule.id);
    rule.service = section.string_or("service", "");
    rule.hosts = section.strings("hosts");
    rule.methods = section.strings("methods");
    rule.paths = patterns(section, "paths");
    rule.tools = section.strings("tools");
    rule.provider_tools = section.strings("provider_tools");
    rule.operations = section.strings("operations");
    rule.models = section.strings("models");
    check_target(section, rule);
    for (const std::string& method : rule.methods) {
      const bool upper =
          std::none_of(method.begin(), method.end(), [](char c) { return c >= 'a' && c <= 'z'; });
      if (!is_token(method) || !upper) {
        section.problem("methods", fmt::format("\"{}\" is not a method; methods are written in "
                                               "capitals",
                                               printable(method.substr(0, kNameMost))));
      }
    }
    section.finish();
    config_.rules.push_back(std::move(rule));
  }

  void check_target(Section& section, const Rule& rule) {
    const bool has_service = section.value("service") != nullptr;
    const bool has_hosts = section.value("hosts") != nullptr;
    if (has_service == has_hosts) {
      section.problem("service", "a rule needs either service or hosts",
                      ProblemKind::kWrongTogether);
    }
    if (has_hosts && rule.hosts.empty()) {
      section.problem("hosts", "hosts must name one host at least");
    }
    for (const std::string& host : rule.hosts) {
      const wire::HostPattern parts = wire::parts_of(host);
      const bool below = parts.host.starts_with("*.");
      const std::string_view name = parts.host.substr(below ? 2 : 0);
      const auto parsed = wire::Host::parse(name);
      if (!parsed || parsed->text() != name || (below && parsed->is_ip_literal())
          || parts.port == 0) {
        section.problem("hosts", fmt::format("\"{}\" must be a host in lower case, or \"*.\" and "
                                             "a domain, with a port (:8443) if not 80 and 443",
                                             printable(host.substr(0, kNameMost))));
      }
    }
    const Service* service = service_named(rule.tenant, rule.service);
    if (has_service && service == nullptr) {
      section.problem("service", unknown("service", rule.service, service_names(rule.tenant)),
                      ProblemKind::kUnknownName);
    }
    if (!rule.tools.empty() && (service == nullptr || service->kind != ipc::ServiceKind::kMcp)) {
      section.problem("tools", "tools are those of a service of kind mcp",
                      ProblemKind::kWrongTogether);
    }
    if (!rule.provider_tools.empty() && (service == nullptr || !is_model_provider(service->kind))) {
      section.problem("provider_tools", "provider_tools are those of a model provider's service",
                      ProblemKind::kWrongTogether);
    }
    if (!rule.models.empty() && (service == nullptr || !is_model_provider(service->kind))) {
      section.problem("models", "models are those of a model provider's service",
                      ProblemKind::kWrongTogether);
    }
    if (std::ranges::find(rule.models, "") != rule.models.end()) {
      section.problem("models", "a model has a name");
    }
    check_operations(section, rule, service);
  }

  static void check_llm_operations(Section& section, const Rule& rule, wire::LlmProvider provider) {
    const auto known = wire::llm_operation_names(provider);
    for (const std::string& operation : rule.operations) {
      if (std::ranges::find(known, operation) != known.end()) continue;
      section.problem("operations", unknown("operation", operation, {known.begin(), known.end()}),
                      ProblemKind::kUnknownName);
    }
  }

  static void check_operations(Section& section, const Rule& rule, const Service* service) {
    const auto provider = service == nullptr ? std::nullopt : ipc::provider_of(service->kind);
    const bool is_agent = service != nullptr && service->kind == ipc::ServiceKind::kA2a;
    if (!rule.operations.empty() && !provider && !is_agent) {
      section.problem("operations",
                      "operations are those of a service of kind a2a, or of a model provider's",
                      ProblemKind::kWrongTogether);
    }
    if (provider) return check_llm_operations(section, rule, *provider);
    for (const std::string& operation : rule.operations) {
      const std::string_view known = wire::name_of(wire::a2a_operation(operation));
      if (known.empty() || known == operation) continue;
      section.problem("operations",
                      fmt::format("\"{}\" is what version 0.3 calls it; {} stands for the "
                                  "operation in every version",
                                  printable(operation), known));
    }
  }

  const ReadNamed& read_;
  Problems& problems_;
  Config config_;
  std::map<std::string, int> seen_;                             // identity -> line
  std::set<std::tuple<Kind, std::string, std::string>> known_;  // what others may name
  std::vector<std::pair<Service, const Yaml*>> routing_;        // services with model routes
};

}  // namespace

Config decode_document(const Yaml& document, const ReadNamed& read, Problems& problems) {
  return Decoding(read, problems).decode(document);
}

std::expected<Object, Problems> decode_object(const NewObject& given, const State& state,
                                              const ReadNamed& read) {
  Problems problems;
  Config known;
  if (given.kind != Kind::kTenant) known.tenants.push_back({given.tenant, ""});
  for (const Stored& stored : state.objects) {
    if (tenant_of(stored.object) == given.tenant) known.add(stored.object);
  }
  known.tenants.resize(given.kind == Kind::kTenant ? 0 : 1);
  Agent agent;
  agent.tenant = given.tenant;
  agent.name = given.agent;
  Config decoded =
      Decoding(read, problems, std::move(known)).decode_one(given.kind, given.node, agent);
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return decoded.last(given.kind);
}

}  // namespace gatehouse::control
