// SPDX-License-Identifier: Apache-2.0
// Files of the coding agents Claude Code (https://code.claude.com/docs/en/settings) and Codex
// (https://developers.openai.com/codex/config-reference). Neither fills in variables where it reads
// its own key, but both take it from the environment where no file has it.
#include <algorithm>

#include "cli/adopt/find.h"
#include "cli/adopt/json_tree.h"
#include "wire/url.h"

namespace gatehouse::cli::adopt {
namespace {

using Path = std::vector<std::string_view>;

// Another base URL than the provider's own: a gateway's, or a server's on this machine.
void aim_at_base_url(Finding& finding, const std::string& address) {
  const auto url = wire::Url::parse(address);
  if (!url) {
    finding.left_because = "the ANTHROPIC_BASE_URL beside it is no address";
    return;
  }
  const bool is_here =
      url->host.text() == "localhost"
      || (url->host.ip() && wire::address_class(*url->host.ip()) == wire::AddressClass::kLoopback);
  if (is_here) {
    finding.left_because = "it is for a server on this machine";
    return;
  }
  if (provider_at(url->origin()) != nullptr) return;
  finding.target.origin = url->origin();
  finding.target.name = "claude-gateway";
  finding.target.kind = "anthropic";
}

// What can stand in a file unquoted, and in an environment.
bool is_variable_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// env.NAME of settings.json: such a variable wins over the one that Claude Code was started with.
void look_at_variable(const SourceFile& file, const Tree& tree, const Json5Node& node,
                      std::string_view variable, std::vector<Finding>& found) {
  PrivateText value(json5_string(tree.token(node)).value_or(""));
  const Provider* by_shape = provider_of_shape(value.view());
  const Provider* by_name = provider_of_variable(variable);
  const bool is_secret = by_shape != nullptr || by_name != nullptr || names_a_secret(variable);
  if (!is_secret || !may_be_key(value.view())) return;
  Finding finding = finding_at(file, joined(tree.path(node)), node.begin, tree.token(node));
  finding.value = Secret(value.view());
  finding.variable = variable;
  finding.splice = kept_elsewhere(node);
  finding.provider = by_shape != nullptr ? by_shape : by_name;
  finding.target = target_of(finding.provider);
  const bool is_own = variable == "ANTHROPIC_API_KEY" || variable == "ANTHROPIC_AUTH_TOKEN";
  const std::string base = is_own ? tree.beside(node, "ANTHROPIC_BASE_URL") : "";
  if (!base.empty() && (by_shape == nullptr || by_shape->left_because.empty())) {
    finding.provider = provider_named("anthropic");
    finding.target = target_of(finding.provider);
    aim_at_base_url(finding, base);
    if (variable == "ANTHROPIC_AUTH_TOKEN") {
      finding.target.header = "authorization";
      finding.target.prefix = "Bearer ";
    }
  } else if (finding.provider == nullptr) {
    finding.left_because = kUnknownPlace;
  } else {
    finding.left_because = finding.provider->left_because;
  }
  found.push_back(std::move(finding));
}

// A key that has no name in the environment of its own: which it is taken from instead.
void look_at_own_key(const SourceFile& file, const Tree& tree, const Json5Node& node,
                     const Provider* provider, std::string_view variable,
                     std::vector<Finding>& found) {
  PrivateText value(json5_string(tree.token(node)).value_or(""));
  if (!may_be_key(value.view())) return;
  Finding finding = finding_at(file, joined(tree.path(node)), node.begin, tree.token(node));
  finding.value = Secret(value.view());
  finding.variable = variable;
  finding.splice = kept_elsewhere(node);
  finding.provider = provider;
  finding.target = target_of(provider);
  found.push_back(std::move(finding));
}

void look_at_sign_in(const SourceFile& file, const Tree& tree, const Json5Node& node,
                     std::vector<Finding>& found) {
  PrivateText value(json5_string(tree.token(node)).value_or(""));
  if (!may_be_key(value.view())) return;
  Finding finding = finding_at(file, joined(tree.path(node)), node.begin, tree.token(node));
  finding.value = Secret(value.view());
  finding.provider = provider_of_shape(value.view());
  finding.left_because = kOwnSignIn;
  found.push_back(std::move(finding));
}

bool is_token(std::string_view key) {
  return key == "accessToken" || key == "refreshToken" || key == "access_token"
         || key == "refresh_token" || key == "id_token" || key == "clientSecret";
}

void look_at_claude(const SourceFile& file, const Tree& tree, const Json5Node& node,
                    std::vector<Finding>& found) {
  const Path path = tree.path(node);
  if (path.empty()) return;
  const bool is_member = tree.parent(node)->type == Json5Type::kObject;
  if (path.size() == 2 && path[0] == "env" && is_member && is_variable_name(path[1])) {
    look_at_variable(file, tree, node, path[1], found);
  } else if (path.size() == 1 && path[0] == "primaryApiKey") {
    look_at_own_key(file, tree, node, provider_named("anthropic"), "ANTHROPIC_API_KEY", found);
  } else if (is_token(path.back())) {
    look_at_sign_in(file, tree, node, found);
  } else if (has(path, "mcpServers")) {
    look_at_setting(file, tree, node, found);
  }
}

}  // namespace

Splice kept_elsewhere(const Json5Node& node) {
  return {node.key_begin, node.end, "\"GATEHOUSE_KEEPS_", R"(": "in its vault")"};
}

Result<std::vector<std::string>> read_claude_settings(const SourceFile& file,
                                                      std::vector<Finding>& found) {
  const Tree tree = TRY(tree_of(file));
  for (const Json5Node& node : tree.nodes()) {
    if (found.size() > kFindingsMost) break;
    if (node.type == Json5Type::kString) look_at_claude(file, tree, node, found);
  }
  add_by_shape(file, found);
  return std::vector<std::string>();
}

Result<std::vector<std::string>> read_codex_auth(const SourceFile& file,
                                                 std::vector<Finding>& found) {
  const Tree tree = TRY(tree_of(file));
  for (const Json5Node& node : tree.nodes()) {
    if (found.size() > kFindingsMost) break;
    if (node.type != Json5Type::kString) continue;
    const Path path = tree.path(node);
    if (path.size() == 1 && path[0] == "OPENAI_API_KEY") {
      look_at_own_key(file, tree, node, provider_named("openai"), "CODEX_API_KEY", found);
    } else if (!path.empty() && is_token(path.back())) {
      look_at_sign_in(file, tree, node, found);
    }
  }
  add_by_shape(file, found);
  return std::vector<std::string>();
}

Result<std::vector<std::string>> read_codex_config(const SourceFile& file,
                                                   std::vector<Finding>& found) {
  const std::size_t before = found.size();
  add_by_shape(file, found);
  for (std::size_t i = before; i < found.size(); ++i) {
    found[i].left_because =
        "Codex's settings name variables instead: write env_key, env_http_headers or "
        "bearer_token_env_var there, and connect the key by hand";
  }
  return std::vector<std::string>();
}

}  // namespace gatehouse::cli::adopt
