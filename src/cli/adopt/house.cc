// SPDX-License-Identifier: Apache-2.0
#include "cli/adopt/house.h"

#include <fmt/format.h>

#include <array>

#include "base/encoding.h"
#include "base/random.h"
#include "ipc/cli_control.h"
#include "wire/json.h"
#include "wire/url.h"

namespace gatehouse::cli::adopt {
namespace {

Result<wire::JsonObject> spec_of(const wire::JsonObject& object) {
  const wire::JsonValue* spec = object.find("spec");
  if (spec == nullptr) return failure(Error::kUpstream, "the gatehouse answered without a spec");
  return wire::scan_object(spec->raw);
}

// Which the API leaves out: docs/configuration.md, credential.
std::string_view usual_header(std::string_view kind) {
  if (kind == "anthropic") return "x-api-key";
  if (kind == "gemini") return "x-goog-api-key";
  return kind == "azure-openai" ? "api-key" : "authorization";
}

}  // namespace

Result<ServiceFact> parse_service(std::string_view item) {
  const wire::JsonObject object = TRY(wire::scan_object(item));
  const wire::JsonObject spec = TRY(spec_of(object));
  ServiceFact service;
  service.name = object.string("name").value_or("");
  const auto url = wire::Url::parse(spec.string("url").value_or(""));
  if (url) service.origin = url->origin();
  service.shared = spec.string("scope") == "tenant";
  if (const wire::JsonValue* raw = spec.find("credential")) {
    const wire::JsonObject credential = TRY(wire::scan_object(raw->raw));
    if (credential.string("kind") == "static") {
      const std::string usual(usual_header(spec.string("kind").value_or("")));
      service.header = credential.string("header").value_or(usual);
    }
  }
  return service;
}

Result<std::map<std::string, std::string>> parse_environment(std::string_view agent) {
  std::map<std::string, std::string> environment;
  const wire::JsonObject spec = TRY(spec_of(TRY(wire::scan_object(agent))));
  const wire::JsonValue* raw = spec.find("environment");
  if (raw == nullptr) return environment;
  for (const wire::JsonMember& member : TRY(wire::scan_object(raw->raw)).members) {
    environment[member.key] = member.value.string().value_or("");
  }
  return environment;
}

Result<std::string> parse_ruled_service(std::string_view rule) {
  const wire::JsonObject object = TRY(wire::scan_object(rule));
  return TRY(spec_of(object)).string("service").value_or("");
}

namespace {

Result<void> add_agent(const Api& api, const std::string& agent, HouseFacts& facts) {
  const std::string path =
      fmt::format("/v1/tenants/{}/agents/{}", facts.tenant, percent_encoded(agent));
  const HttpReply reply = TRY(api.call("GET", path));
  facts.environment = TRY(parse_environment(reply.body));
  for (const std::string& item : TRY(api.list(path + "/rules"))) {
    facts.ruled.insert(TRY(parse_ruled_service(item)));
  }
  return {};
}

}  // namespace

Result<HouseFacts> facts_of(const Api& api, Client& client, const Options& options) {
  HouseFacts facts;
  facts.tenant = TRY(api.tenant(options));
  for (const std::string& item :
       TRY(api.list(fmt::format("/v1/tenants/{}/services", facts.tenant)))) {
    facts.services.push_back(TRY(parse_service(item)));
  }
  const auto list = TRY(client.call(ipc::ListConnections{options.tenant, ""}));
  for (const ipc::ConnectionInfo& one : list.connections) {
    if (percent_encoded(one.tenant) == facts.tenant)
      facts.connected.insert({one.user, one.service});
  }
  if (!options.agent.empty()) TRY(add_agent(api, options.agent, facts));
  return facts;
}

Result<void> create_service(const Api& api, const HouseFacts& facts, const ServiceFact& service,
                            const Target& target) {
  wire::JsonWriter body;
  body.begin_object().key("name").string(service.name).key("spec").begin_object();
  body.key("kind").string(target.kind).key("url").string(target.origin);
  body.key("upstream").string(target.origin);
  body.key("scope").string(service.shared ? "tenant" : "user").key("credential").begin_object();
  body.key("kind").string("static").key("header").string(target.header);
  body.key("prefix").string(target.prefix).end_object().end_object().end_object();
  std::array<std::uint8_t, 16> random{};
  fill_random(random);
  TRY(api.call("POST", fmt::format("/v1/tenants/{}/services", facts.tenant), std::move(body).text(),
               {{"idempotency-key", to_hex(random)}}));
  return {};
}

}  // namespace gatehouse::cli::adopt
