// SPDX-License-Identifier: Apache-2.0
#include "control/config.h"

#include <gtest/gtest.h>

namespace gatehouse::control {
namespace {

Result<std::string> no_file(const std::string& path) {
  return failure(Error::kNotFound, "there is no " + path);
}

std::string problems_of(std::string_view yaml) {
  const auto config = decode_config(yaml, no_file);
  if (config) return "";
  std::string text;
  for (const Problem& problem : config.error()) {
    text += std::to_string(problem.line) + ": " + problem.what + "\n";
  }
  return text;
}

constexpr std::string_view kGood = R"(version: 1
data: /var/lib/gatehouse
users: [{name: alice}]
services:
  - name: model
    kind: openai
    url: http://model.gatehouse
    upstream: https://api.example.com
    credential: {kind: static, header: authorization, prefix: "Bearer "}
agents:
  - name: claw
    environment: {KEY: "{{placeholder:model}}"}
    rules:
      - {id: models, service: model, methods: [POST], paths: ["/v1/chat/completions"]}
)";

std::string with(std::string_view from, std::string_view to) {
  std::string text(kGood);
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Config, ReadsWhatItShould) {
  const auto config = decode_config(kGood, no_file);
  ASSERT_TRUE(config) << problems_of(kGood);
  EXPECT_EQ(config->data, "/var/lib/gatehouse");
  ASSERT_EQ(config->services.size(), 1U);
  EXPECT_EQ(config->services[0].credential->prefix, "Bearer ");
  ASSERT_EQ(config->rules.size(), 1U);
  EXPECT_EQ(config->rules[0].agent, "claw");
}

TEST(Config, TheExampleIsValidAsItIs) {
  const std::string text = example_config("/var/lib/gatehouse");
  EXPECT_EQ(problems_of(text), "");
}

TEST(Config, AnUnknownKeyIsAnErrorWithItsLineAndTheNearestKnownKey) {
  const std::string problems = problems_of(with("upstream:", "upstraem:"));
  EXPECT_TRUE(problems.contains("8: ")) << problems;
  EXPECT_TRUE(problems.contains("upstraem")) << problems;
  EXPECT_TRUE(problems.contains("upstream")) << problems;
}

TEST(Config, EveryProblemIsToldAtOnce) {
  const std::string problems = problems_of(
      "version: 1\ndata: relative\nusers: [{name: alice}, {name: alice}]\ncolour: blue\n");
  EXPECT_TRUE(problems.contains("2: ")) << problems;
  EXPECT_TRUE(problems.contains("3: ")) << problems;
  EXPECT_TRUE(problems.contains("4: ")) << problems;
}

TEST(Config, WhatNothingHasIsNoName) {
  EXPECT_TRUE(problems_of(with("service: model", "service: modle")).contains("model"));
  EXPECT_NE(problems_of(with("{{placeholder:model}}", "{{placeholder:other}}")), "");
}

TEST(Config, RefusesWhatWouldOpenTheHouse) {
  EXPECT_NE(problems_of(with("https://api.example.com", "ftp://api.example.com")), "");
  EXPECT_NE(problems_of(with("[\"/v1/chat/completions\"]", "[\"/v1?x=1\"]")), "");
  EXPECT_NE(problems_of(
                with("agents:\n  - name: claw\n", "agents:\n  - name: claw\n    skeleton: ../x\n")),
            "");
  EXPECT_NE(problems_of(with("    environment", "    read_only: [../SOUL.md]\n    environment")),
            "");
  EXPECT_NE(problems_of(with("    environment", "    memory: 1KiB\n    environment")), "");
}

TEST(Config, WhatIsNoYamlIsToldAndNothingCrashes) {
  for (const std::string_view text :
       {"", "[", "version", "version: 2\ndata: /x\n", "a: &x [*x]", "version: 1\nversion: 1\n",
        "\xff\xfe", "version: 1\ndata: /x\nusers: {}\n"}) {
    EXPECT_NE(problems_of(text), "") << text;
  }
}

}  // namespace
}  // namespace gatehouse::control
