// SPDX-License-Identifier: Apache-2.0
#include "control/present.h"

#include <gtest/gtest.h>

#include <set>

#include "control/decoding.h"
#include "control/routes.h"
#include "wire/json.h"

namespace gatehouse::control {
namespace {

constexpr std::string_view kFile = R"(version: 1
data: /data
tenants: [{name: acme, title: "Acme & Sons"}]
issuers:
  - {name: corp, url: "https://login.example", client_id: gatehouse, scopes: [groups],
     groups_claim: groups}
users:
  - {name: ada, login: {issuer: corp, subject: "00u1"}}
  - {name: bob}
groups:
  - {name: sre, members: [ada, bob], issuer: corp, claim: "SRE"}
accounts:
  - {name: ci, issuer: corp, audience: gatehouse-ci, subject: "repo:acme/x:ref:main"}
bindings:
  - {role: owner, user: ada}
  - {role: developer, account: ci}
  - {role: security, group: sre}
services:
  - {name: web, kind: http, url: "https://web.example", upstream: "https://up.example/v1",
     scope: tenant, intent: ["/export/**"], credential: {kind: static, header: x-key}}
  - name: mail
    kind: mcp
    url: https://mail.example
    upstream: https://mail.example
    credential: {kind: oauth, authorization_endpoint: "https://l.example/a",
                 token_endpoint: "https://l.example/t", client_id: g, scopes: [a, b]}
  - name: llm
    kind: openai
    url: http://llm.example
    upstream: https://llm.example
    credential: {kind: static}
    timeouts: {connect: 3, first_byte: 60, idle: 30, total: 600}
    concurrency: 8
    models:
      - name: house/large
        spread: exchange
        retries: 0
        retry_percent: 0
        targets:
          - {service: llm, model: a, tier: 2, weight: 3}
          - {service: other, model: a/b, prefix: /api/v1}
      - {name: usual, targets: [{service: llm, model: a}]}
  - {name: other, kind: azure-openai, url: "http://o.example", upstream: "https://o.example"}
agents:
  - name: claw
    command: [/bin/sh, -c, "true"]
    volume: other
    skeleton: /srv/claw
    toolbox: [/opt/a, "/opt/b:/opt/c"]
    environment: {KEY: "{{placeholder:web}}", EMPTY: "", TRUTH: "true"}
    read_only: [SOUL.md]
    memory: 2GiB
    pids: 40
    leases_per_second: 9
    rules:
      - {id: read, service: web, methods: [GET], paths: ["/**"]}
      - {id: tools, service: mail, tools: [send]}
      - {id: hosts, hosts: ["*.example.com"], methods: [GET], paths: ["/a"]}
)";

State state_of(std::string_view yaml) {
  const auto config = decode_config(yaml, [](const std::string& path) -> Result<std::string> {
    return failure(Error::kNotFound, path);
  });
  EXPECT_TRUE(config) << (config ? "" : config.error().front().what);
  State state;
  if (!config) return state;
  for (const Object& object : config->objects()) state.objects.push_back({object, Source::kApi, 1});
  return state;
}

std::expected<Object, Problems> decoded(const Object& object, const State& state,
                                        const std::string& spec) {
  NewObject given{kind_of(object), tenant_of(object), "", {}};
  auto tree = tree_of_json(spec);
  if (!tree) return std::unexpected(Problems{tree.error()});
  given.node = *std::move(tree);
  if (const auto* rule = std::get_if<Rule>(&object)) given.agent = rule->agent;
  if (kind_of(object) != Kind::kBinding) {
    const auto* rule = std::get_if<Rule>(&object);
    Yaml key;
    key.type = Yaml::Type::kScalar;
    key.text = rule != nullptr ? "id" : "name";
    Yaml value = key;
    value.text = rule != nullptr ? rule->id : name_of(object);
    given.node.members.push_back({key, value});
  }
  return decode_object(given, state,
                       [](const std::string& pem) -> Result<std::string> { return pem; });
}

TEST(Present, WhatIsShownOfAnObjectReadsAsTheSameObject) {
  const State state = state_of(kFile);
  std::set<Kind> kinds;
  for (const Stored& stored : state.objects) {
    const std::string spec = spec_of(stored.object);
    const auto back = decoded(stored.object, state, spec);
    ASSERT_TRUE(back) << spec << ": " << back.error().front().what;
    EXPECT_EQ(*back, stored.object) << spec;
    const auto yaml = json_of_yaml(spec);  // JSON is YAML too
    ASSERT_TRUE(yaml) << yaml.error().message();
    EXPECT_EQ(*yaml, spec);
    kinds.insert(kind_of(stored.object));
  }
  EXPECT_EQ(kinds.size(), kKinds);
}

TEST(Present, TheSchemaOfAKindHasTheKeysThatAreReadAndNoOther) {
  const State state = state_of(kFile);
  const auto document = *wire::scan_object(openapi_document());
  const auto components = *wire::scan_object(document.find("components")->raw);
  const auto schemas = *wire::scan_object(components.find("schemas")->raw);
  for (const Stored& stored : state.objects) {
    std::string name(text(kind_of(stored.object)));
    name.front() = static_cast<char>(name.front() & ~0x20);
    const auto schema = *wire::scan_object(schemas.find(name + "Spec")->raw);
    std::set<std::string> described;
    for (const auto& member : wire::scan_object(schema.find("properties")->raw)->members) {
      described.insert(member.key);
    }
    const auto refused = decoded(stored.object, state, R"({"no-such-key":1})");
    ASSERT_FALSE(refused);
    std::set<std::string> read;
    for (const Problem& problem : refused.error()) {
      const std::size_t at = problem.what.find("may have: ");
      if (!problem.what.contains("no-such-key") || at == std::string::npos) continue;
      std::string_view list = std::string_view(problem.what).substr(at + 10);
      while (!list.empty()) {
        const std::string_view key = list.substr(0, list.find(", "));
        if (key != "name" && key != "id" && key != "tenant") read.emplace(key);
        list.remove_prefix(std::min(list.size(), key.size() + 2));
      }
    }
    EXPECT_EQ(read, described) << name;
  }
}

TEST(Present, AnObjectNamesOnlyWhatItsTenantHas) {
  const State state = state_of(kFile);
  const auto wrong = [&](const Object& like, const std::string& spec) {
    const auto object = decoded(like, state, spec);
    return object ? "" : object.error().front().what;
  };
  const Object user = User{"acme", "eve", {}};
  EXPECT_EQ(wrong(user, R"({"login":{"issuer":"crop","subject":"x"}})"),
            "there is no issuer \"crop\", did you mean \"corp\"?");
  EXPECT_NE(wrong(user, R"({"login":{"issuer":"corp"}})"), "");
  EXPECT_NE(wrong(user, R"({"login":{"issuer":"corp","subject":"two\nlines"}})"), "");
  const Object group = Group{"acme", "g", {}, "", ""};
  EXPECT_NE(wrong(group, R"({"members":["eve"]})"), "");
  EXPECT_NE(wrong(group, R"({"claim":"x"})"), "") << "a claim is of an issuer";
  const Object binding = Binding{"acme", "owner", Kind::kUser, "ada"};
  EXPECT_NE(wrong(binding, R"({"role":"king","user":"ada"})"), "");
  EXPECT_NE(wrong(binding, R"({"role":"owner"})"), "");
  EXPECT_NE(wrong(binding, R"({"role":"owner","user":"ada","group":"sre"})"), "");
  EXPECT_EQ(wrong(binding, R"({"role":"owner","user":"ada"})"), "");
  const Object issuer = Issuer{"acme", "i", "", "", {}, "", "", false};
  EXPECT_NE(wrong(issuer, R"({"url":"http://login.example"})"), "") << "not in the clear";
  EXPECT_NE(wrong(issuer, R"({"url":"https://login.example?x=1"})"), "");
}

}  // namespace
}  // namespace gatehouse::control
