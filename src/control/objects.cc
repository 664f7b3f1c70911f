// SPDX-License-Identifier: Apache-2.0
#include "control/objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <limits>

#include "wire/url.h"

namespace gatehouse::control {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, kKinds> kKindNames = {
    "tenant", "user", "service", "agent", "rule", "group", "account", "issuer", "binding"};
constexpr std::string_view kOpen = "{{placeholder:";
constexpr std::string_view kClose = "}}";

class Writer {
 public:
  template <class T>
  void operator()(std::string_view key, T& value) {
    out_[key] = json_of(value);
  }
  [[nodiscard]] json::object take() { return std::move(out_); }

 private:
  template <class T>
  static json::value json_of(T& value) {
    if constexpr (requires { value.fields(std::declval<Writer&>()); }) {
      Writer inner;
      value.fields(inner);
      return inner.take();
    } else {
      return plain(value);
    }
  }
  static json::value plain(const std::string& value) { return json::string(value); }
  static json::value plain(bool value) { return value; }
  static json::value plain(std::uint64_t value) { return value; }
  static json::value plain(std::uint32_t value) { return value; }
  static json::value plain(Kind kind) { return json::string(text(kind)); }
  static json::value plain(ipc::ServiceKind kind) { return json::string(ipc::name_of(kind)); }
  static json::value plain(const std::map<std::string, std::string>& values) {
    json::object object;
    for (const auto& [key, value] : values) object[key] = value;
    return object;
  }
  template <class T>
  static json::value plain(std::vector<T>& values) {
    json::array array;
    for (T& value : values) array.push_back(json_of(value));
    return array;
  }
  template <class T>
  static json::value plain(std::optional<T>& value) {
    return value ? json_of(*value) : json::value(nullptr);
  }
  json::object out_;
};

// Takes a definition apart. A member that is absent keeps its default, so that an older store is
// still read; anything of another type throws what boost::json throws.
class Reader {
 public:
  explicit Reader(const json::object& from) : from_(from) {}
  template <class T>
  void operator()(std::string_view key, T& value) {
    if (const json::value* found = from_.if_contains(key)) get(*found, value);
  }

 private:
  template <class T>
  static void get(const json::value& from, T& value) {
    if constexpr (requires { value.fields(std::declval<Reader&>()); }) {
      Reader inner(from.as_object());
      value.fields(inner);
    } else {
      plain(from, value);
    }
  }
  static void plain(const json::value& from, std::string& value) {
    value = std::string(from.as_string());
  }
  static void plain(const json::value& from, bool& value) { value = from.as_bool(); }
  static void plain(const json::value& from, std::uint64_t& value) {
    value = from.to_number<std::uint64_t>();
  }
  static void plain(const json::value& from, std::uint32_t& value) {
    value = from.to_number<std::uint32_t>();
  }
  static void plain(const json::value& from, Kind& kind) {
    const auto named = kind_named(std::string_view(from.as_string()));
    if (!named) throw std::invalid_argument("a kind of object");
    kind = *named;
  }
  static void plain(const json::value& from, ipc::ServiceKind& kind) {
    const std::string_view name = from.as_string();
    constexpr const auto& kNames = ipc::kServiceKindNames;
    const auto* const found = std::find(kNames.begin(), kNames.end(), name);
    if (found == kNames.end()) throw std::invalid_argument("a service kind");
    kind = static_cast<ipc::ServiceKind>(found - kNames.begin());
  }
  static void plain(const json::value& from, std::map<std::string, std::string>& values) {
    for (const auto& [key, value] : from.as_object()) {
      values[std::string(key)] = std::string(value.as_string());
    }
  }
  template <class T>
  static void plain(const json::value& from, std::vector<T>& values) {
    for (const json::value& item : from.as_array()) get(item, values.emplace_back());
  }
  template <class T>
  static void plain(const json::value& from, std::optional<T>& value) {
    if (!from.is_null()) get(from, value.emplace());
  }
  const json::object& from_;
};

template <class T>
Object blank_of(std::string tenant, std::string name) {
  T object;
  if constexpr (requires { object.tenant; }) object.tenant = std::move(tenant);
  if constexpr (requires { object.name; }) object.name = std::move(name);
  return object;  // what a rule's or a binding's name is made of is in the definition
}

Object blank(Kind kind, std::string tenant, std::string name) {
  switch (kind) {
    case Kind::kTenant:
      return blank_of<Tenant>(std::move(tenant), std::move(name));
    case Kind::kUser:
      return blank_of<User>(std::move(tenant), std::move(name));
    case Kind::kService:
      return blank_of<Service>(std::move(tenant), std::move(name));
    case Kind::kAgent:
      return blank_of<Agent>(std::move(tenant), std::move(name));
    case Kind::kRule:
      return blank_of<Rule>(std::move(tenant), std::move(name));
    case Kind::kGroup:
      return blank_of<Group>(std::move(tenant), std::move(name));
    case Kind::kAccount:
      return blank_of<Account>(std::move(tenant), std::move(name));
    case Kind::kIssuer:
      return blank_of<Issuer>(std::move(tenant), std::move(name));
    case Kind::kBinding:
      break;
  }
  return blank_of<Binding>(std::move(tenant), std::move(name));
}

}  // namespace

bool is_model_provider(ipc::ServiceKind kind) {
  return kind != ipc::ServiceKind::kHttp && kind != ipc::ServiceKind::kMcp
         && kind != ipc::ServiceKind::kA2a;
}

std::string_view usual_header(ipc::ServiceKind kind) {
  switch (kind) {
    case ipc::ServiceKind::kAnthropic:
      return "x-api-key";
    case ipc::ServiceKind::kGemini:
      return "x-goog-api-key";
    case ipc::ServiceKind::kAzureOpenAi:
      return "api-key";
    default:
      return "authorization";
  }
}

std::string_view text(Source source) { return source == Source::kFile ? "file" : "api"; }
std::string_view text(Kind kind) { return kKindNames.at(static_cast<std::size_t>(kind)); }

std::optional<Kind> kind_named(std::string_view name) {
  for (std::size_t i = 0; i < kKinds; ++i) {
    if (kKindNames.at(i) == name) return static_cast<Kind>(i);
  }
  return std::nullopt;
}

Kind kind_of(const Object& object) {
  return std::visit([](const auto& o) { return std::decay_t<decltype(o)>::kKind; }, object);
}

const std::string& tenant_of(const Object& object) {
  if (const auto* tenant = std::get_if<Tenant>(&object)) return tenant->name;
  return std::visit(
      [](const auto& o) -> const std::string& {
        if constexpr (requires { o.tenant; }) return o.tenant;
        std::unreachable();
      },
      object);
}

std::string name_of(const Object& object) {
  if (const auto* rule = std::get_if<Rule>(&object)) return rule->agent + "/" + rule->id;
  if (const auto* b = std::get_if<Binding>(&object)) {
    return fmt::format("{}.{}.{}", b->role, text(b->subject_kind), b->subject);
  }
  return std::visit(
      [](const auto& o) -> std::string {
        if constexpr (requires { o.name; }) return o.name;
        std::unreachable();
      },
      object);
}

namespace {

std::vector<Reference> named_by(const Tenant&) { return {}; }
std::vector<Reference> named_by(const Service& service) {
  std::vector<Reference> out;
  for (const ModelRoute& route : service.models) {
    for (const ModelTarget& target : route.targets) {
      out.push_back({Kind::kService, target.service});
    }
  }
  return out;
}
std::vector<Reference> named_by(const Issuer&) { return {}; }
std::vector<Reference> named_by(const User& user) {
  if (!user.login) return {};
  return {{Kind::kIssuer, user.login->issuer}};
}
std::vector<Reference> named_by(const Agent& agent) {
  std::vector<Reference> out;
  for (const auto& [name, value] : agent.environment) {
    // What cannot be read names nothing; it was refused on its way in.
    for (std::string& service : placeholders_in(value).value_or(std::vector<std::string>())) {
      out.push_back({Kind::kService, std::move(service)});
    }
  }
  return out;
}
std::vector<Reference> named_by(const Rule& rule) {
  std::vector<Reference> out = {{Kind::kAgent, rule.agent}};
  if (!rule.service.empty()) out.push_back({Kind::kService, rule.service});
  return out;
}
std::vector<Reference> named_by(const Group& group) {
  std::vector<Reference> out;
  for (const std::string& member : group.members) out.push_back({Kind::kUser, member});
  if (!group.issuer.empty()) out.push_back({Kind::kIssuer, group.issuer});
  return out;
}
std::vector<Reference> named_by(const Account& account) {
  std::vector<Reference> out = {{Kind::kIssuer, account.issuer}};
  for (const std::string& user : account.runs_for) out.push_back({Kind::kUser, user});
  return out;
}
std::vector<Reference> named_by(const Binding& binding) {
  return {{binding.subject_kind, binding.subject}};
}

}  // namespace

std::vector<Reference> references_of(const Object& object) {
  std::vector<Reference> out = std::visit([](const auto& o) { return named_by(o); }, object);
  if (kind_of(object) != Kind::kTenant) out.push_back({Kind::kTenant, tenant_of(object)});
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::string identity_of(const Object& object) {
  if (const auto* service = std::get_if<Service>(&object)) {
    const auto url = wire::Url::parse(service->url);
    return url ? fmt::format("place {} {}", url->host.text(), url->port) : "";
  }
  if (const auto* user = std::get_if<User>(&object)) {
    return user->login ? fmt::format("login {} {}", user->login->issuer, user->login->subject) : "";
  }
  if (const auto* account = std::get_if<Account>(&object)) {
    return fmt::format("account {} {} {}", account->issuer, account->audience, account->subject);
  }
  if (const auto* issuer = std::get_if<Issuer>(&object)) return "issuer " + issuer->url;
  return "";
}

std::string definition_of(const Object& object) {
  Object copy = object;
  return std::visit(
      [](auto& o) {
        Writer writer;
        o.fields(writer);
        return json::serialize(writer.take());
      },
      copy);
}

Result<Object> object_from(Kind kind, std::string tenant, std::string name,
                           std::string_view definition) {
  const std::string what = fmt::format("the stored {} {}", text(kind), name);
  try {
    const json::value parsed = json::parse(definition);
    Object object = blank(kind, std::move(tenant), std::move(name));
    std::visit(
        [&](auto& o) {
          Reader reader(parsed.as_object());
          o.fields(reader);
        },
        object);
    return object;
  } catch (const std::exception& error) {
    return failure(Error::kCorrupt, fmt::format("{} does not decode: {}", what, error.what()));
  }
}

Result<std::vector<std::string>> placeholders_in(std::string_view text) {
  std::vector<std::string> services;
  for (std::size_t at = text.find("{{"); at != std::string_view::npos; at = text.find("{{", at)) {
    const std::size_t end = text.find(kClose, at);
    if (!text.substr(at).starts_with(kOpen) || end == std::string_view::npos) {
      return failure(Error::kInvalid,
                     "{{ begins a placeholder, which reads {{placeholder:SERVICE}}");
    }
    services.emplace_back(text.substr(at + kOpen.size(), end - at - kOpen.size()));
    at = end;
  }
  return services;
}

Result<std::string> with_placeholders(std::string_view text,
                                      const std::map<std::string, std::string>& values) {
  std::string out(text);
  for (const std::string& service : TRY(placeholders_in(text))) {
    const auto value = values.find(service);
    if (value == values.end()) {
      return failure(Error::kNotFound, service);
    }
    const std::string whole = fmt::format("{}{}{}", kOpen, service, kClose);
    out.replace(out.find(whole), whole.size(), value->second);
  }
  return out;
}

}  // namespace gatehouse::control
