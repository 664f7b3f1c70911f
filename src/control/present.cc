// SPDX-License-Identifier: Apache-2.0
#include "control/present.h"

#include <fmt/format.h>

#include <array>

#include "audit/digest.h"
#include "base/encoding.h"
#include "wire/json.h"

namespace gatehouse::control {
namespace {

using wire::JsonWriter;

constexpr std::size_t kOnRecordMost = 10 * 1024;  // bytes; an Entry holds two such texts

// Members that are left out when they say nothing.
class Spec {
 public:
  Spec() { out_.begin_object(); }
  Spec& text(std::string_view key, std::string_view value, std::string_view usual = "") {
    if (value != usual) out_.key(key).string(value);
    return *this;
  }
  Spec& number(std::string_view key, std::uint64_t value) {
    if (value != 0) out_.key(key).integer(static_cast<std::int64_t>(value));
    return *this;
  }
  Spec& fact(std::string_view key, bool value) {
    if (value) out_.key(key).boolean(true);
    return *this;
  }
  Spec& list(std::string_view key, const std::vector<std::string>& values) {
    if (values.empty()) return *this;
    out_.key(key).begin_array();
    for (const std::string& value : values) out_.string(value);
    out_.end_array();
    return *this;
  }
  Spec& map(std::string_view key, const std::map<std::string, std::string>& values) {
    if (values.empty()) return *this;
    out_.key(key).begin_object();
    for (const auto& [name, value] : values) out_.key(name).string(value);
    out_.end_object();
    return *this;
  }
  Spec& raw(std::string_view key, std::string_view json) {
    out_.key(key).raw(json);
    return *this;
  }
  [[nodiscard]] std::string json() {
    out_.end_object();
    return out_.text();
  }

 private:
  JsonWriter out_;
};

std::string json_of(const Tenant& tenant) { return Spec().text("title", tenant.title).json(); }

std::string json_of(const User& user) {
  Spec spec;
  if (user.login) {
    spec.raw("login",
             Spec().text("issuer", user.login->issuer).text("subject", user.login->subject).json());
  }
  return spec.json();
}

std::string json_of(const Group& group) {
  return Spec()
      .list("members", group.members)
      .text("issuer", group.issuer)
      .text("claim", group.claim)
      .json();
}

std::string json_of(const Account& account) {
  return Spec()
      .text("issuer", account.issuer)
      .text("audience", account.audience)
      .text("subject", account.subject)
      .list("runs_for", account.runs_for)
      .json();
}

std::string json_of(const Issuer& issuer) {
  return Spec()
      .text("url", issuer.url)
      .text("client_id", issuer.client_id)
      .list("scopes", issuer.scopes)
      .text("groups_claim", issuer.groups_claim)
      .text("ca", issuer.ca_pem)
      .fact("allow_private", issuer.allow_private)
      .json();
}

std::string json_of(const Binding& binding) {
  return Spec().text("role", binding.role).text(text(binding.subject_kind), binding.subject).json();
}

std::string json_of(const Credential& credential, ipc::ServiceKind kind) {
  const bool bearer = credential.header == "authorization";
  Spec spec;
  spec.text("kind", credential.kind)
      .text("header", credential.header,
            credential.kind == "sigv4" ? "authorization" : usual_header(kind));
  const bool has_prefix = bearer && credential.kind != "sigv4";
  spec.text("prefix", credential.prefix, has_prefix ? "Bearer " : "");
  spec.text("authorization_endpoint", credential.authorization_endpoint);
  spec.text("token_endpoint", credential.token_endpoint);
  spec.text("revocation_endpoint", credential.revocation_endpoint);
  spec.text("issuer", credential.issuer).text("client_id", credential.client_id);
  spec.text("region", credential.region);
  if (!credential.region.empty()) spec.text("service", credential.service, "bedrock");
  return spec.list("scopes", credential.scopes).json();
}

std::string json_of(const Timeouts& timeouts) {
  const Timeouts usual;
  const auto differing = [](std::uint32_t value, std::uint32_t of_usual) {
    return value == of_usual ? 0 : value;
  };
  return Spec()
      .number("connect", differing(timeouts.connect_s, usual.connect_s))
      .number("first_byte", differing(timeouts.first_byte_s, usual.first_byte_s))
      .number("idle", differing(timeouts.idle_s, usual.idle_s))
      .number("total", timeouts.total_s)
      .json();
}

std::string json_of(const ModelTarget& target) {
  return Spec()
      .text("service", target.service)
      .text("model", target.model)
      .number("tier", target.tier == 1 ? 0 : target.tier)
      .number("weight", target.weight == 1 ? 0 : target.weight)
      .text("prefix", target.prefix)
      .json();
}

std::string json_of(const ModelRoute& route) {
  Spec spec;
  spec.text("name", route.name).text("spread", route.by_exchange ? "exchange" : "run", "run");
  if (route.retries != ModelRoute::kRetriesUsual) {
    spec.raw("retries", std::to_string(route.retries));
  }
  if (route.retry_percent != ModelRoute::kRetryPercentUsual) {
    spec.raw("retry_percent", std::to_string(route.retry_percent));
  }
  JsonWriter targets;
  targets.begin_array();
  for (const ModelTarget& target : route.targets) targets.raw(json_of(target));
  return spec.raw("targets", targets.end_array().text()).json();
}

std::string json_of(const Service& service) {
  Spec spec;
  spec.text("kind", ipc::name_of(service.kind));
  spec.text("url", service.url).text("upstream", service.upstream);
  spec.text("upstream_ca", service.upstream_ca_pem).fact("allow_private", service.allow_private);
  if (service.credential) spec.raw("credential", json_of(*service.credential, service.kind));
  spec.text("scope", service.shared ? "tenant" : "user", "user");
  spec.list("intent", service.intent);
  if (!service.include_usage) spec.raw("include_usage", "false");
  spec.text("on_disconnect", service.drains ? "drain" : "cancel", "cancel");
  if (service.timeouts != Timeouts()) spec.raw("timeouts", json_of(service.timeouts));
  spec.number("concurrency", service.concurrency);
  if (!service.http2) spec.raw("http2", "false");
  spec.text("spiffe_id", service.spiffe_id);
  if (service.client_certificate) {
    spec.raw("client_certificate", Spec()
                                       .text("certificate", service.client_certificate->certificate)
                                       .text("key", service.client_certificate->key)
                                       .json());
  }
  if (!service.models.empty()) {
    JsonWriter models;
    models.begin_array();
    for (const ModelRoute& route : service.models) models.raw(json_of(route));
    spec.raw("models", models.end_array().text());
  }
  return spec.json();
}

std::string json_of(const Agent& agent) {
  Spec spec;
  spec.list("command", agent.command).text("volume", agent.volume, "home");
  spec.text("skeleton", agent.skeleton);
  std::vector<std::string> boxes;
  for (const Toolbox& box : agent.toolbox) {
    boxes.push_back(box.source == box.target ? box.source : box.source + ":" + box.target);
  }
  spec.list("toolbox", boxes).map("environment", agent.environment);
  spec.list("read_only", agent.read_only).number("memory", agent.memory_most_bytes);
  spec.number("pids", agent.pids_most).number("leases_per_second", agent.leases_per_second);
  return spec.json();
}

std::string json_of(const Rule& rule) {
  return Spec()
      .text("service", rule.service)
      .list("hosts", rule.hosts)
      .list("methods", rule.methods)
      .list("paths", rule.paths)
      .list("tools", rule.tools)
      .list("provider_tools", rule.provider_tools)
      .list("operations", rule.operations)
      .list("models", rule.models)
      .json();
}

std::expected<Yaml, Problem> tree_of(const wire::JsonValue& value);

std::expected<Yaml, Problem> list_of(const wire::JsonValue& value) {
  Yaml tree;
  tree.type = Yaml::Type::kList;
  const auto items = wire::scan_array(value.raw);
  if (!items) return std::unexpected(Problem{0, 0, items.error().message()});
  for (const wire::JsonValue& item : *items) {
    auto below = tree_of(item);
    if (!below) return below;
    tree.items.push_back(*std::move(below));
  }
  return tree;
}

std::expected<Yaml, Problem> map_of(const wire::JsonValue& value) {
  Yaml tree;
  tree.type = Yaml::Type::kMap;
  const auto object = wire::scan_object(value.raw);
  if (!object) return std::unexpected(Problem{0, 0, object.error().message()});
  for (const wire::JsonMember& member : object->members) {
    auto below = tree_of(member.value);
    if (!below) return below;
    Yaml key;
    key.type = Yaml::Type::kScalar;
    key.text = member.key;
    tree.members.push_back({std::move(key), *std::move(below)});
  }
  return tree;
}

std::expected<Yaml, Problem> tree_of(const wire::JsonValue& value) {
  Yaml tree;
  switch (value.type) {
    case wire::JsonType::kObject:
      return map_of(value);
    case wire::JsonType::kArray:
      return list_of(value);
    case wire::JsonType::kNull:
      return tree;
    case wire::JsonType::kString:
      tree.quoted = true;
      tree.text = value.string().value_or("");
      break;
    case wire::JsonType::kNumber:
    case wire::JsonType::kBoolean:
      tree.text = std::string(value.raw);
      break;
  }
  tree.type = Yaml::Type::kScalar;
  return tree;
}

bool is_json_word(const Yaml& tree) {
  if (tree.quoted) return false;
  const auto value = wire::scan_value(tree.text);
  return value && (value->is(wire::JsonType::kNumber) || value->is(wire::JsonType::kBoolean));
}

void write_tree(JsonWriter& out, const Yaml& tree) {
  switch (tree.type) {
    case Yaml::Type::kNothing:
      out.null();
      return;
    case Yaml::Type::kScalar:
      is_json_word(tree) ? out.raw(tree.text) : out.string(tree.text);
      return;
    case Yaml::Type::kList:
      out.begin_array();
      for (const Yaml& item : tree.items) write_tree(out, item);
      out.end_array();
      return;
    case Yaml::Type::kMap:
      out.begin_object();
      for (const YamlMember& member : tree.members) {
        out.key(member.key.text);
        write_tree(out, member.value);
      }
      out.end_object();
      return;
  }
}

}  // namespace

Result<std::string> json_of_yaml(std::string_view yaml) {
  const auto tree = parse_yaml(yaml);
  if (!tree) return failure(Error::kInvalid, tree.error().text("the spec"));
  JsonWriter out;
  write_tree(out, *tree);
  return std::move(out).text();
}

std::string spec_of(const Object& object) {
  return std::visit([](const auto& o) { return json_of(o); }, object);
}

std::string cut_for_record(const std::string& text) {
  if (text.size() <= kOnRecordMost) return text;
  return fmt::format("{}... ({} bytes, SHA-256 {})", text.substr(0, kOnRecordMost), text.size(),
                     to_hex(audit::sha256(text)));
}

std::string shown(const Stored& stored) {
  JsonWriter out;
  out.begin_object();
  out.key("kind").string(text(kind_of(stored.object)));
  out.key("tenant").string(tenant_of(stored.object));
  if (const auto* rule = std::get_if<Rule>(&stored.object)) {
    out.key("agent").string(rule->agent).key("name").string(rule->id);
  } else {
    out.key("name").string(name_of(stored.object));
  }
  out.key("from").string(text(stored.source)).key("version").integer(stored.version);
  out.key("spec").raw(spec_of(stored.object));
  out.end_object();
  return std::move(out).text();
}

std::expected<Yaml, Problem> tree_of_json(std::string_view text) {
  const auto value = wire::scan_value(text, wire::Duplicates::kRejectEverywhere);
  if (!value) return std::unexpected(Problem{0, 0, value.error().message()});
  return tree_of(*value);
}

}  // namespace gatehouse::control
