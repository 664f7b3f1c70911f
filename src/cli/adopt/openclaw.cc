// SPDX-License-Identifier: Apache-2.0
// OpenClaw's files: openclaw.json, in which ${NAME} stands for a variable of its environment, and
// the auth-profiles.json of older versions, in which {"source": "env"} names one.
#include <algorithm>
#include <array>

#include "cli/adopt/find.h"
#include "cli/adopt/json_tree.h"
#include "wire/url.h"

namespace gatehouse::cli::adopt {
namespace {

// A variable of the environment: env.NAME, env.vars.NAME, mcp.servers.X.env.NAME, ...
bool is_variable(const std::vector<std::string_view>& path) {
  const std::size_t n = path.size();
  return n >= 2
         && (path[n - 2] == "env" || (n >= 3 && path[n - 2] == "vars" && path[n - 3] == "env"));
}

bool is_header(const std::vector<std::string_view>& path) {
  return path.size() >= 2 && path[path.size() - 2] == "headers";
}

// Keys of services that need no gate: they are the agent's own, or never sent in a header.
const Provider* provider_by_place(const std::vector<std::string_view>& path) {
  if (path[0] == "gateway" || path[0] == "hooks") return provider_named("openclaw");
  if (path[0] == "channels" && path.size() > 2) {
    if (const Provider* known = provider_named(path[1])) return known;
  }
  for (auto key = path.rbegin() + 1; key < path.rend(); ++key) {
    if (const Provider* known = provider_named(key->substr(0, key->find(':')))) return known;
  }
  return nullptr;
}

// The words that some schemes put before a key; "" for none.
std::string_view scheme_of(std::string_view value) {
  for (const std::string_view scheme : {"Bearer ", "bearer ", "Token ", "token ", "Bot "}) {
    if (value.starts_with(scheme)) return scheme;
  }
  return "";
}

// "openai:manual": the profile that holds the key.
bool is_profile(std::string_view value, const std::vector<std::string_view>& path) {
  const std::string_view provider = value.substr(0, std::min(value.find(':'), value.size()));
  return provider.size() < value.size()
         && (provider_named(provider) != nullptr || has(path, provider));
}

// Where the settings beside the key say that it is used; "" when they do not.
std::string address_near(const Tree& tree, const Json5Node& node) {
  const Json5Node* near = &node;
  for (int level = 0; level < 2 && near != nullptr; ++level, near = tree.parent(*near)) {
    for (const std::string_view key : {"baseUrl", "url", "baseURL", "endpoint"}) {
      if (std::string address = tree.beside(*near, key); !address.empty()) return address;
    }
  }
  return "";
}

bool is_here(const wire::Url& url) {
  return url.host.text() == "localhost"
         || (url.host.ip() && wire::address_class(*url.host.ip()) == wire::AddressClass::kLoopback);
}

void set_header_by_protocol(Target& target, std::string_view protocol) {
  if (protocol == "anthropic-messages") {
    target.header = "x-api-key";
    target.prefix = "";
  } else if (protocol == "google-generative-ai") {
    target.header = "x-goog-api-key";
    target.prefix = "";
  } else if (protocol.starts_with("openai-") && target.kind.empty()) {
    target.kind = "openai";
  }
}

std::string name_for(const wire::Url& url) {
  std::string name = url.host.text();
  std::ranges::replace_if(
      name, [](char c) { return (c < 'a' || c > 'z') && (c < '0' || c > '9'); }, '-');
  while (name.starts_with('-')) name.erase(0, 1);
  return name;
}

// By the address that the settings name.
void aim(Finding& finding, const Tree& tree, const Json5Node& node, const std::string& address) {
  const auto url = wire::Url::parse(address);
  if (!url) {
    finding.target = {};
    finding.left_because = "the address beside it is a variable or no address";
    return;
  }
  if (is_here(*url)) {
    finding.left_because = "it is for a server on this machine";
    return;
  }
  const Provider* there = provider_at(url->origin());
  Target target = target_of(there);
  target.origin = url->origin();
  if (target.name.empty()) target.name = name_for(*url);
  if (target.header.empty()) {
    target.header = "authorization";
    target.prefix = "Bearer ";
  }
  set_header_by_protocol(target, tree.beside(node, "api"));
  if (target.kind.empty()) target.kind = "http";
  finding.target = std::move(target);
  const Provider* by_shape = provider_of_shape(finding.value.open(Purpose::kCompare));
  finding.provider = there != nullptr ? there : by_shape;
  finding.left_because = "";
}

void judge(Finding& finding, const Tree& tree, const Json5Node& node,
           const std::vector<std::string_view>& path, std::string_view scheme) {
  finding.target = target_of(finding.provider);
  if (finding.provider != nullptr) finding.left_because = finding.provider->left_because;
  const bool stays = !finding.left_because.empty();
  if (const std::string address = address_near(tree, node); !address.empty() && !stays) {
    aim(finding, tree, node, address);
  }
  if (!finding.left_because.empty()) return;
  if (finding.target.origin.empty()) {
    finding.left_because = kUnknownPlace;
    return;
  }
  if (is_header(path)) {
    finding.target.header = path.back();
    for (char& c : finding.target.header) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    finding.target.prefix = scheme;
  }
  if ((has(path, "mcp") || has(path, "mcpServers"))
      && provider_at(finding.target.origin) == nullptr)
    finding.target.kind = "mcp";
}

// "$include": a file or several, of the same directory or below.
std::vector<std::string> included(const Tree& tree) {
  std::vector<std::string> names;
  for (const Json5Node& node : tree.nodes()) {
    if (node.type != Json5Type::kString) continue;
    const Json5Node* list = tree.parent(node);
    const bool is_one = node.key == "$include";
    const bool is_of_list =
        list != nullptr && list->type == Json5Type::kArray && list->key == "$include";
    if (!is_one && !is_of_list) continue;
    std::string name = json5_string(tree.token(node)).value_or("");
    while (name.starts_with("./")) name.erase(0, 2);
    if (!name.empty()) names.push_back(std::move(name));
  }
  return names;
}

struct ProfileKey {
  std::string_view type;
  std::string_view key;
  std::string_view reference;
};
constexpr std::array kProfileKeys = {ProfileKey{"api_key", "key", "keyRef"},
                                     ProfileKey{"token", "token", "tokenRef"}};

// profiles.ID.key gives way to profiles.ID.keyRef, member and all.
void look_at_profile(const SourceFile& file, const Tree& tree, const Json5Node& node,
                     std::vector<Finding>& found) {
  const std::vector<std::string_view> path = tree.path(node);
  if (path.size() != 3 || path[0] != "profiles") return;
  PrivateText value(json5_string(tree.token(node)).value_or(""));
  if (!may_be_key(value.view())) return;
  const std::string type = tree.beside(node, "type");
  const auto row = std::ranges::find_if(kProfileKeys, [&](const ProfileKey& known) {
    return known.type == type && known.key == path[2];
  });
  const bool is_sign_in = type == "oauth" && (path[2] == "access" || path[2] == "refresh");
  if (row == kProfileKeys.end() && !is_sign_in) return;
  Finding finding = finding_at(file, joined(path), node.begin, tree.token(node));
  finding.value = Secret(value.view());
  finding.provider = provider_of_shape(value.view());
  if (finding.provider == nullptr) {
    finding.provider = provider_named(tree.beside(node, "provider"));
  }
  finding.target = target_of(finding.provider);
  if (is_sign_in) {
    finding.left_because = "it is of a sign-in that the agent renews itself";
  } else if (finding.provider == nullptr) {
    finding.left_because = kUnknownPlace;
  } else {
    finding.left_because = finding.provider->left_because;
  }
  if (row != kProfileKeys.end()) {
    finding.splice = {node.key_begin, node.end,
                      "\"" + std::string(row->reference)
                          + R"(": {"source": "env", "provider": "default", "id": ")",
                      "\"}"};
  }
  found.push_back(std::move(finding));
}

}  // namespace

void look_at_setting(const SourceFile& file, const Tree& tree, const Json5Node& node,
                     std::vector<Finding>& found) {
  const std::vector<std::string_view> path = tree.path(node);
  if (path.empty()) return;
  PrivateText whole(json5_string(tree.token(node)).value_or(""));
  const std::string_view scheme = scheme_of(whole.view());
  const std::string_view value = whole.view().substr(scheme.size());
  if (!may_be_key(value) || is_profile(value, path)) return;
  const Provider* by_shape = provider_of_shape(value);
  const bool is_secret =
      by_shape != nullptr || names_a_secret(path.back()) || (is_header(path) && !scheme.empty());
  if (!is_secret || path.back() == "id" || path.back().ends_with("Ref")) return;
  Finding finding = finding_at(file, joined(path), node.begin, tree.token(node));
  finding.value = Secret(value);
  finding.provider = by_shape != nullptr ? by_shape
                     : is_variable(path) ? provider_of_variable(path.back())
                                         : provider_by_place(path);
  if (is_variable(path)) finding.variable = path.back();
  judge(finding, tree, node, path, scheme);
  const char quote = tree.token(node)[0];
  finding.splice.head = quote + std::string(scheme) + "${";
  finding.splice.tail = std::string("}") + quote;
  found.push_back(std::move(finding));
}

Result<std::vector<std::string>> read_openclaw_config(const SourceFile& file,
                                                      std::vector<Finding>& found) {
  const Tree tree = TRY(tree_of(file));
  for (const Json5Node& node : tree.nodes()) {
    if (found.size() > kFindingsMost) break;
    if (node.type == Json5Type::kString) look_at_setting(file, tree, node, found);
  }
  add_by_shape(file, found);
  return included(tree);
}

Result<std::vector<std::string>> read_openclaw_profiles(const SourceFile& file,
                                                        std::vector<Finding>& found) {
  const Tree tree = TRY(tree_of(file));
  for (const Json5Node& node : tree.nodes()) {
    if (found.size() > kFindingsMost) break;
    if (node.type == Json5Type::kString) look_at_profile(file, tree, node, found);
  }
  add_by_shape(file, found);
  return std::vector<std::string>();
}

}  // namespace gatehouse::cli::adopt
