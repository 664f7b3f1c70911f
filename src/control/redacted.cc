// SPDX-License-Identifier: Apache-2.0
#include "control/redacted.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>

#include "control/config.h"
#include "control/yaml.h"
#include "wire/json.h"

namespace gatehouse::control {
namespace {

// The words of the format itself: they say how the house is set up, and name nobody.
constexpr auto kKeys = std::to_array<std::string_view>({
    "version",
    "data",
    "log",
    "format",
    "metrics",
    "host",
    "limits",
    "landlock",
    "listen",
    "tenants",
    "users",
    "groups",
    "accounts",
    "issuers",
    "bindings",
    "services",
    "agents",
    "name",
    "title",
    "tenant",
    "login",
    "issuer",
    "subject",
    "members",
    "runs_for",
    "claim",
    "audience",
    "role",
    "user",
    "group",
    "account",
    "kind",
    "groups_claim",
    "ca",
    "command",
    "volume",
    "skeleton",
    "toolbox",
    "environment",
    "read_only",
    "memory",
    "pids",
    "leases_per_second",
    "rules",
    "id",
    "service",
    "hosts",
    "methods",
    "paths",
    "tools",
    "provider_tools",
    "operations",
    "prices",
    "model",
    "above_input",
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "input_audio",
    "output_audio",
    "admin",
    "tls_certificate",
    "tls_key",
    "attach",
    "advertise",
    "token_seconds",
    "extra_ca",
    "upstream_proxy",
    "credentials_file",
    "resolve",
    "no_proxy",
});
constexpr auto kTelemetryKeys = std::to_array<std::string_view>(
    {"otlp", "endpoint", "headers_file", "resource", "access_log", "to"});
constexpr auto kKeysOfTls =
    std::to_array<std::string_view>({"spiffe_id", "client_certificate", "certificate", "key"});
// Of a service.
constexpr auto kServiceKeys = std::to_array<std::string_view>({
    "url",
    "upstream",
    "upstream_ca",
    "allow_private",
    "credential",
    "scope",
    "intent",
    "include_usage",
    "on_disconnect",
    "timeouts",
    "connect",
    "first_byte",
    "idle",
    "total",
    "concurrency",
    "http2",
    "models",
    "spread",
    "retries",
    "retry_percent",
    "targets",
    "tier",
    "weight",
    "header",
    "prefix",
    "client_id",
    "scopes",
    "authorization_endpoint",
    "token_endpoint",
    "revocation_endpoint",
    "region",
});
constexpr auto kValues = std::to_array<std::string_view>(
    {"anthropic", "gemini", "bedrock",  "azure-openai", "http",    "openai",
     "mcp",       "a2a",    "static",   "sigv4",        "oauth",   "text",
     "here",      "proxy",  "json",     "true",         "false",   "user",
     "tenant",    "owner",  "security", "approver",     "auditor", "developer",
     "GET",       "HEAD",   "POST",     "PUT",          "PATCH",   "DELETE",
     "OPTIONS",   ""});
constexpr auto kNumbers = std::to_array<std::string_view>(
    {"version", "memory", "pids", "leases_per_second", "token_seconds", "above_input", "connect",
     "first_byte", "idle", "total", "concurrency", "retries", "retry_percent", "tier", "weight"});

template <std::size_t N>
bool is_in(const std::array<std::string_view, N>& words, std::string_view text) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool is_number(std::string_view text) {
  for (const std::string_view unit : {"KiB", "MiB", "GiB", "TiB"}) {
    if (text.ends_with(unit)) text.remove_suffix(3);
  }
  return !text.empty() && text.size() <= 9
         && text.find_first_not_of("0123456789") == std::string_view::npos;
}

void write(wire::JsonWriter& writer, const Yaml& node, std::string_view key,
           const Pseudonym& pseudonym) {
  switch (node.type) {
    case Yaml::Type::kNothing:
      writer.null();
      return;
    case Yaml::Type::kScalar: {
      const bool says_nothing =
          is_in(kValues, node.text) || (is_in(kNumbers, key) && is_number(node.text));
      writer.string(says_nothing ? node.text : pseudonym(node.text));
      return;
    }
    case Yaml::Type::kList:
      writer.begin_array();
      for (const Yaml& item : node.items) write(writer, item, key, pseudonym);
      writer.end_array();
      return;
    case Yaml::Type::kMap:
      writer.begin_object();
      for (const YamlMember& member : node.members) {
        // An environment's keys are names that somebody chose.
        const bool known =
            key != "environment" && key != "resource"
            && (is_in(kKeys, member.key.text) || is_in(kServiceKeys, member.key.text)
                || is_in(kTelemetryKeys, member.key.text) || is_in(kKeysOfTls, member.key.text));
        writer.key(known ? member.key.text : pseudonym(member.key.text));
        write(writer, member.value, known ? member.key.text : "", pseudonym);
      }
      writer.end_object();
      return;
  }
}

}  // namespace

std::string redacted_config(const std::string& path, const Pseudonym& pseudonym) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kConfigMost, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  const auto document = parse_yaml(text);
  if (!document) return "null";
  wire::JsonWriter writer;
  write(writer, *document, "", pseudonym);
  return std::move(writer).text();
}

}  // namespace gatehouse::control
