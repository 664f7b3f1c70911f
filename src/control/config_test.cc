// SPDX-License-Identifier: Apache-2.0
#include "control/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "control/network.h"

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

TEST(Config, WhoAnUpstreamIsAndWhoWeAreToItIsSaidWholeAndInTlsOnly) {
  const auto told = [](const std::string& more, bool is_tls = true) {
    std::string text = with("    kind: openai\n", "    kind: openai\n" + more);
    if (!is_tls) text.replace(text.find("https://api"), 5, "http");
    const auto config = decode_config(text, [](const std::string&) -> Result<std::string> {
      return "-----BEGIN CERTIFICATE-----\n";
    });
    return config ? "" : config.error().front().what;
  };
  const std::string bundle = "    upstream_ca: td.pem\n";
  const std::string pair = "    client_certificate: {certificate: a.pem, key: a.key}\n";
  EXPECT_EQ(told(bundle + "    spiffe_id: spiffe://td.test/web\n" + pair), "");
  EXPECT_EQ(told(bundle + "    spiffe_id: spiffe://td.test\n"), "");
  EXPECT_TRUE(told("    spiffe_id: spiffe://td.test/web\n").contains("upstream_ca"));
  EXPECT_TRUE(told(bundle + "    spiffe_id: spiffe://td.test/web/\n").contains("empty"));
  EXPECT_TRUE(told(bundle + "    spiffe_id: spiffe://td.test/web\n", false).contains("https"));
  EXPECT_TRUE(told(pair, false).contains("https"));
  EXPECT_TRUE(told("    client_certificate: {certificate: a.pem}\n").contains("key"));
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
  EXPECT_EQ(example_config("/data", "No Name").error(), Error::kInvalid);
  const std::string text = *example_config("/var/lib/gatehouse", "ada");
  EXPECT_TRUE(text.contains("{role: owner, user: ada}"));
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

TEST(Config, KnowsWhatACredentialForAwsNeeds) {
  const auto told = [](std::string_view credential) {
    return problems_of(
        with("{kind: static, header: authorization, prefix: \"Bearer \"}", credential));
  };
  EXPECT_EQ(told("{kind: sigv4, region: us-east-1}"), "");
  EXPECT_EQ(told("{kind: sigv4, region: us-east-1, service: bedrock}"), "");
  EXPECT_TRUE(told("{kind: sigv4}").contains("region"));
  EXPECT_TRUE(told("{kind: sigv4, region: \"us east\"}").contains("us-east-1"));
  EXPECT_TRUE(told("{kind: sigv4, region: r, header: x}").contains("header belongs"));
  EXPECT_TRUE(told("{kind: sigv4, region: r, client_id: x}").contains("client_id belongs"));
  EXPECT_TRUE(told("{kind: static, region: r}").contains("region belongs"));
}

TEST(Config, SaysHowTheWorldIsReached) {
  const auto read = [](const std::string&) -> Result<std::string> {
    return "-----BEGIN CERTIFICATE-----\n";
  };
  const auto config = decode_config(std::string(kGood) + R"(
extra_ca: corporate.pem
upstream_proxy:
  url: http://[2001:db8::1]:3128
  credentials_file: /etc/gatehouse/proxy
  resolve: proxy
  no_proxy: ["*.corp.example", build.corp.example, 10.0.0.0/8, "fd00::/8", 192.0.2.1]
)",
                                    read);
  ASSERT_TRUE(config);
  const ipc::NetworkSpec& spec = config->network.spec;
  EXPECT_EQ(spec.proxy_host, "2001:db8::1");
  EXPECT_EQ(spec.proxy_port, 3128);
  EXPECT_TRUE(spec.proxy_wants_credentials);
  EXPECT_TRUE(spec.proxy_resolves);
  EXPECT_EQ(spec.no_proxy.size(), 5U);
  EXPECT_EQ(spec.extra_ca_pem, "-----BEGIN CERTIFICATE-----\n");
  EXPECT_TRUE(decode_config(kGood, no_file)->network.spec.proxy_host.empty());
}

TEST(Config, RefusesAProxyThatWouldNotBeWhatIsMeant) {
  const auto proxy = [](std::string_view more) {
    return problems_of(std::string(kGood) + "upstream_proxy: {" + std::string(more) + "}\n");
  };
  EXPECT_NE(proxy("").find("url"), std::string::npos);
  const std::string told = proxy("url: 'http://alice:canary@proxy:3128'");
  EXPECT_NE(told.find("credentials_file"), std::string::npos);
  EXPECT_EQ(told.find("canary"), std::string::npos) << "a secret that was put there is not shown";
  EXPECT_NE(proxy("url: 'https://proxy:3128'").find("plain http"), std::string::npos);
  EXPECT_NE(proxy("url: 'http://proxy:3128/path'").find("without a path"), std::string::npos);
  EXPECT_NE(proxy("url: 'http://proxy:1', credentials_file: secret").find("absolute"),
            std::string::npos);
  EXPECT_NE(proxy("url: 'http://proxy:1', resolve: maybe").find("resolve"), std::string::npos);
  for (const char* wrong : {"10.0.0.0/33", "*", "Corp.example", "http://x", "a b", "10.0.0.0/"}) {
    EXPECT_NE(proxy("url: 'http://proxy:1', no_proxy: ['" + std::string(wrong) + "']")
                  .find("must be a host"),
              std::string::npos)
        << wrong;
  }
  const auto big = [](const std::string&) -> Result<std::string> {
    return "-----BEGIN CERTIFICATE-----\n" + std::string(ipc::kExtraCaMost, 'x');
  };
  EXPECT_FALSE(decode_config(std::string(kGood) + "extra_ca: big.pem\n", big));
  EXPECT_NE(problems_of(std::string(kGood) + "extra_ca: gone.pem\n").find("there is no gone.pem"),
            std::string::npos);
}

class Credentials : public testing::Test {
 protected:
  ~Credentials() override { std::filesystem::remove(path); }
  Result<Secret> of(std::string_view text,
                    std::filesystem::perms mode = std::filesystem::perms{0600}) {
    std::ofstream(path) << text;
    std::filesystem::permissions(path, mode);
    return proxy_authorization({{}, path});
  }
  std::string path = testing::TempDir() + "proxy-credentials-" + std::to_string(getpid());
};

TEST_F(Credentials, AreReadFromAFileThatOthersCannotRead) {
  const auto read = of("alice:open sesame\n");
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->open(Purpose::kCompare), "Basic YWxpY2U6b3BlbiBzZXNhbWU=");
  EXPECT_TRUE(proxy_authorization({})->empty()) << "none are needed where none are named";
}

TEST_F(Credentials, AreRefusedWithoutBeingShown) {
  EXPECT_EQ(of("alice:canary", std::filesystem::perms{0604}).error(), Error::kDenied);
  for (const std::string& text :
       {std::string(), std::string("canary"), std::string(":canary"),
        std::string("alice:canary\nbob:canary"), "alice:canary" + std::string(5000, 'x')}) {
    const auto read = of(text);
    ASSERT_FALSE(read) << text.substr(0, 40);
    EXPECT_EQ(read.error(), Error::kInvalid);
    EXPECT_FALSE(read.error().message().contains("canary"));
  }
  std::filesystem::remove(path);
  EXPECT_EQ(proxy_authorization({{}, path}).error(), Error::kNotFound);
}

TEST(Config, WhatIsNoYamlIsToldAndNothingCrashes) {
  for (const std::string_view text :
       {"", "[", "version", "version: 2\ndata: /x\n", "a: &x [*x]", "version: 1\nversion: 1\n",
        "\xff\xfe", "version: 1\ndata: /x\nusers: {}\n"}) {
    EXPECT_NE(problems_of(text), "") << text;
  }
}

TEST(Config, TheAdminApiIsInTheClearOnLoopbackOnly) {
  const auto listening = [](std::string_view admin) {
    const std::string text = "version: 1\ndata: /data\nadmin: " + std::string(admin) + "\n";
    const auto config = decode_config(text, no_file);
    return config ? config->admin.at : "refused";
  };
  const std::string tls = ", tls_certificate: c.pem, tls_key: k.pem}";
  EXPECT_EQ(listening("{listen: \"127.0.0.1:7443\"}"), "127.0.0.1:7443");
  EXPECT_EQ(listening("{listen: \"[::1]:7443\"}"), "[::1]:7443");
  EXPECT_EQ(listening("{listen: \"0.0.0.0:7443\"" + tls), "0.0.0.0:7443");
  for (const char* open : {"0.0.0.0:7443", "[::]:7443", "10.0.0.1:7443", "192.0.2.1:7443"}) {
    EXPECT_EQ(listening("{listen: \"" + std::string(open) + "\"}"), "refused") << open;
  }
  EXPECT_EQ(listening("{listen: \"127.0.0.1:7443\", tls_key: k.pem}"), "refused");
  EXPECT_EQ(listening("{listen: \"127.0.0.1\"}"), "refused");
  EXPECT_EQ(listening("{listen: \"localhost:7443\"" + tls), "refused");
  EXPECT_EQ(listening("{}"), "refused");
}

}  // namespace
}  // namespace gatehouse::control
