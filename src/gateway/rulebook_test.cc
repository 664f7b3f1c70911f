// SPDX-License-Identifier: Apache-2.0
#include "gateway/rulebook.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "gateway/door.h"
#include "gateway/refusal.h"

namespace gatehouse::gateway {
namespace {

ipc::ServiceSpec service(std::string name, ipc::ServiceKind kind, std::string host) {
  ipc::ServiceSpec spec;
  spec.tenant = "acme";
  spec.name = std::move(name);
  spec.kind = kind;
  spec.host = std::move(host);
  spec.port = 80;
  return spec;
}

ipc::RuleSpec rule(std::string id, std::string service_name) {
  ipc::RuleSpec spec;
  spec.tenant = "acme";
  spec.id = std::move(id);
  spec.agent = "claw";
  spec.service = std::move(service_name);
  return spec;
}

class Rules : public testing::Test {
 protected:
  Rules() {
    ipc::Snapshot snapshot;
    snapshot.services = {service("openai", ipc::ServiceKind::kOpenAi, "openai.gatehouse"),
                         service("tools", ipc::ServiceKind::kMcp, "tools.gatehouse")};
    auto models = rule("models", "openai");
    models.methods = {"POST"};
    models.paths = {"/v1/chat/completions"};
    auto echo = rule("echo", "tools");
    echo.tools = {"echo"};
    auto web = rule("web", "");
    web.hosts = {"*.example.com", "git.test:8443"};
    web.methods = {"GET"};
    auto embed = rule("embed", "provider");
    embed.paths = {"/v1/embeddings", "/v1/models/*", "/v1/files/**", "/v1/threads/**"};
    snapshot.services.push_back(
        service("provider", ipc::ServiceKind::kOpenAi, "provider.gatehouse"));
    auto searching = rule("searching", "searching");
    searching.provider_tools = {"web_search", "mcp:mcp.example.com"};
    auto any_mcp = rule("anymcp", "anymcp");
    any_mcp.provider_tools = {"mcp"};
    for (const char* name : {"searching", "anymcp"}) {
      snapshot.services.push_back(
          service(name, ipc::ServiceKind::kOpenAi, std::string(name) + ".gatehouse"));
    }
    auto media = rule("media", "media");
    media.operations = {"images.edit", "batches.create"};
    snapshot.services.push_back(service("media", ipc::ServiceKind::kOpenAi, "media.gatehouse"));
    auto small = rule("small", "small");
    small.models = {"gpt-4o-mini", "text-embedding-*"};
    small.paths = {"/v1/chat/completions", "/v1/engines/**", "/v1/embeddings",
                   "/v1/models",           "/v1/batches",    "/v1/threads"};
    snapshot.services.push_back(service("small", ipc::ServiceKind::kOpenAi, "small.gatehouse"));
    for (const char* name : {"helper", "free"}) {
      snapshot.services.push_back(
          service(name, ipc::ServiceKind::kA2a, std::string(name) + ".gatehouse"));
    }
    auto helper = rule("helper", "helper");
    helper.operations = {"SendMessage", "CreateTaskPushNotificationConfig", "acme/undo"};
    snapshot.rules = {models, echo,      web,     embed,  media,
                      small,  searching, any_mcp, helper, rule("free", "free")};
    book = std::make_unique<Rulebook>(std::move(snapshot));
    run.tenant = "acme";
    run.agent = "claw";
  }
  Ruling ask(const std::string& method, const std::string& host, const std::string& path,
             const Call& call = HttpCall{}, std::uint16_t port = 80) {
    const auto parsed = wire::Host::parse(host);
    const ipc::ServiceSpec* found = book->service_at(run.tenant, parsed->text(), port);
    const auto provider = found == nullptr ? std::nullopt : provider_of(found->kind);
    const wire::LlmEndpoint endpoint =
        provider ? wire::llm_endpoint(*provider, method, path) : wire::LlmEndpoint();
    return book->rule(
        {&run, found, method, &*parsed, port, path, &call, provider ? &endpoint : nullptr});
  }
  std::unique_ptr<Rulebook> book;
  ipc::RunSpec run;
};

TEST_F(Rules, LetAHostBeReachedAtItsWebPortsAndAtTheOneThatIsWritten) {
  EXPECT_TRUE(ask("GET", "a.example.com", "/").allowed());
  EXPECT_TRUE(ask("GET", "a.example.com", "/", HttpCall{}, 443).allowed());
  EXPECT_FALSE(ask("GET", "a.example.com", "/", HttpCall{}, 22).allowed());
  EXPECT_TRUE(ask("GET", "git.test", "/", HttpCall{}, 8443).allowed());
  EXPECT_FALSE(ask("GET", "git.test", "/", HttpCall{}, 443).allowed());
}

TEST_F(Rules, LetNoUnreadRequestToAModelProviderThroughThatTheyDoNotName) {
  EXPECT_TRUE(ask("POST", "provider.gatehouse", "/v1/embeddings").allowed());
  EXPECT_TRUE(ask("GET", "provider.gatehouse", "/v1/models/gpt").allowed());
  EXPECT_TRUE(ask("GET", "provider.gatehouse", "/v1/files/x").allowed()) << "relayed, and named";
  EXPECT_EQ(ask("POST", "provider.gatehouse", "/v1/files/x").rule, "unnamed-endpoint");
  EXPECT_EQ(ask("POST", "provider.gatehouse", "/v1/threads/x").rule, "unnamed-endpoint");
  EXPECT_EQ(ask("POST", "provider.gatehouse", "/v1/responses").rule, "default-deny");
  EXPECT_TRUE(ask("GET", "tools.gatehouse", "/mcp").allowed()) << "the transport's own stream";
  EXPECT_EQ(ask("PUT", "tools.gatehouse", "/mcp").rule, "mcp-transport");
  EXPECT_EQ(ask("post", "tools.gatehouse", "/mcp").rule, "mcp-transport");
}

TEST_F(Rules, LetAProviderBeAskedWhatTheirOperationsName) {
  const auto ruled = [&](const char* method, const char* path, const Call& call = HttpCall{}) {
    return ask(method, "media.gatehouse", path, call).rule;
  };
  EXPECT_EQ(ruled("POST", "/v1/images/edits", LlmCall{}), "media");
  EXPECT_EQ(ruled("POST", "/v1/batches"), "media");
  EXPECT_EQ(ruled("GET", "/v1/batches/b"), "default-deny");
  EXPECT_EQ(ruled("POST", "/v1/images/generations", LlmCall{}), "default-deny");
  EXPECT_EQ(ruled("POST", "/v1/threads"), "default-deny");
  EXPECT_EQ(ask("POST", "searching.gatehouse", "/v1/batches").rule, "unnamed-endpoint")
      << "no list is all that is read";
  EXPECT_EQ(ask("POST", "searching.gatehouse", "/v1/images/edits", LlmCall{}).rule, "searching");
}

TEST_F(Rules, LetAModelBeAskedThatTheyName) {
  const auto ruled = [&](std::string model, std::vector<std::string> others = {},
                         const char* path = "/v1/chat/completions") {
    LlmCall call;
    call.request.model = std::move(model);
    call.request.other_models = std::move(others);
    return ask("POST", "small.gatehouse", path, call).rule;
  };
  EXPECT_EQ(ruled("gpt-4o-mini"), "small");
  EXPECT_EQ(ruled("text-embedding-3", {}, "/v1/embeddings"), "small");
  EXPECT_EQ(ruled("gpt-4o-mini", {"text-embedding-3"}), "small");
  for (const char* other : {"gpt-4o", "gpt-4o-mini-2", "GPT-4o-mini", "", "text-embedding"}) {
    EXPECT_EQ(ruled(other), "models") << other;
    EXPECT_EQ(ruled("gpt-4o-mini", {other}), "models") << other;
  }
  const auto http = [&](const char* method, const char* path) {
    return ask(method, "small.gatehouse", path).rule;
  };
  EXPECT_EQ(http("GET", "/v1/models"), "small");
  EXPECT_EQ(http("POST", "/v1/batches"), "models") << "named, and yet nobody knows its models";
  EXPECT_EQ(http("POST", "/v1/threads"), "models");
  EXPECT_EQ(ruled("gpt-4o-mini", {}, "/v1/engines/gpt-4o/chat/completions"), "models")
      << "the server may go by the path";
}

AgentCall agent_call(std::string_view method, bool gives_webhook = false) {
  AgentCall call;
  call.request.method = method;
  call.request.operation = wire::a2a_operation(method);
  call.request.gives_webhook = gives_webhook;
  return call;
}

TEST_F(Rules, LetAgentsBeAskedWhatTheirOperationsName) {
  const auto ruled = [&](const char* host, const AgentCall& call) {
    return ask("POST", std::string(host) + ".gatehouse", "/", call).rule;
  };
  EXPECT_EQ(ruled("helper", agent_call("SendMessage")), "helper");
  EXPECT_EQ(ruled("helper", agent_call("message/send")), "helper") << "the same, in version 0.3";
  EXPECT_EQ(ruled("helper", agent_call("message/stream")), "default-deny");
  EXPECT_EQ(ruled("helper", agent_call("tasks/cancel")), "default-deny");
  EXPECT_EQ(ruled("free", agent_call("tasks/cancel")), "free") << "no list is any of A2A's";
  EXPECT_EQ(ruled("helper", agent_call("acme/undo")), "helper");
  EXPECT_EQ(ruled("helper", agent_call("acme/redo")), "default-deny");
  EXPECT_EQ(ruled("free", agent_call("acme/undo")), "a2a-method");
}

TEST_F(Rules, LetAnAgentBeGivenAnAddressToSendToByNameOnly) {
  const auto ruled = [&](const char* host, const AgentCall& call) {
    return ask("POST", std::string(host) + ".gatehouse", "/", call).rule;
  };
  EXPECT_EQ(ruled("helper", agent_call("SendMessage", true)), "helper");
  EXPECT_EQ(ruled("free", agent_call("SendMessage", true)), "a2a-webhook");
  EXPECT_EQ(ruled("free", agent_call("CreateTaskPushNotificationConfig", true)), "a2a-webhook");
  EXPECT_EQ(ruled("free", agent_call("tasks/pushNotificationConfig/get")), "free");
}

TEST_F(Rules, LetNothingThroughToAnAgentThatIsNotReadAsA2a) {
  for (const char* method : {"GET", "POST", "DELETE", "PUT"}) {
    EXPECT_EQ(ask(method, "free.gatehouse", "/x").rule, "a2a-transport") << method;
  }
}

TEST_F(Rules, AllowWhatTheyNameAndSayWhichDid) {
  const Ruling ruling = ask("POST", "openai.gatehouse", "/v1/chat/completions", LlmCall{});
  EXPECT_TRUE(ruling.allowed());
  EXPECT_EQ(ruling.rule, "models");
}

TEST_F(Rules, DenyEverythingElseByName) {
  for (const auto& [method, host, path] :
       {std::tuple("GET", "openai.gatehouse", "/v1/chat/completions"),
        std::tuple("POST", "openai.gatehouse", "/v1/files"),
        std::tuple("GET", "169.254.169.254", "/latest/meta-data/"),
        std::tuple("POST", "www.example.com", "/"), std::tuple("GET", "example.com", "/"),
        std::tuple("GET", "evilexample.com", "/"),
        std::tuple("GET", "www.example.com.evil.test", "/")}) {
    const Ruling ruling = ask(method, host, path);
    EXPECT_FALSE(ruling.allowed()) << method << ' ' << host << path;
    EXPECT_EQ(ruling.rule, "default-deny");
    EXPECT_TRUE(ruling.reason.contains(host)) << ruling.reason;
  }
}

TEST_F(Rules, AnswerAToolByItsName) {
  ToolCall echo{"tools/call", "echo", "1", "{}"};
  ToolCall other{"tools/call", "printEnv", "1", "{}"};
  ToolCall list{"tools/list", "", "1", ""};
  EXPECT_TRUE(ask("POST", "tools.gatehouse", "/mcp", echo).allowed());
  EXPECT_TRUE(ask("POST", "tools.gatehouse", "/mcp", list).allowed());
  const Ruling refused = ask("POST", "tools.gatehouse", "/mcp", other);
  EXPECT_FALSE(refused.allowed());
  EXPECT_TRUE(refused.reason.contains("printEnv"));
}

TEST_F(Rules, DenyToolsThatRunPastTheGateway) {
  LlmCall call;
  call.request.provider_tools = {"mcp"};
  const Ruling ruling = ask("POST", "openai.gatehouse", "/v1/chat/completions", call);
  EXPECT_FALSE(ruling.allowed());
  EXPECT_EQ(ruling.rule, "provider-side-tools");
}

TEST_F(Rules, LetToolsRunAtTheProviderByTheirNames) {
  const auto asked = [&](std::vector<std::string> tools) {
    LlmCall call;
    call.request.provider_tools = std::move(tools);
    return ask("POST", "searching.gatehouse", "/v1/responses", call);
  };
  EXPECT_TRUE(asked({}).allowed());
  EXPECT_TRUE(asked({"web_search"}).allowed());
  EXPECT_TRUE(asked({"mcp:mcp.example.com", "web_search"}).allowed());
  for (const char* other : {"web_search_preview", "mcp", "mcp:evil.test", "code_interpreter"}) {
    const Ruling ruling = asked({"web_search", other});
    EXPECT_EQ(ruling.rule, "provider-side-tools") << other;
    EXPECT_TRUE(ruling.reason.contains(other)) << ruling.reason;
  }
  const auto any = [&](const char* tool) {
    LlmCall call;
    call.request.provider_tools = {tool};
    return ask("POST", "anymcp.gatehouse", "/v1/responses", call).allowed();
  };
  EXPECT_TRUE(any("mcp"));
  EXPECT_TRUE(any("mcp:mcp.example.com"));
  EXPECT_FALSE(any("mcps"));
}

TEST_F(Rules, AreOneTenantsOwn) {
  run.tenant = "other";
  EXPECT_FALSE(ask("POST", "openai.gatehouse", "/v1/chat/completions", LlmCall{}).allowed());
  EXPECT_EQ(book->service_at("other", "openai.gatehouse", 80), nullptr);
}

TEST_F(Rules, LetNamesBeKnownOnlyWhereSomethingMayBeReached) {
  const auto may = [&](const char* host) { return book->may_reach(run, *wire::Host::parse(host)); };
  EXPECT_TRUE(may("openai.gatehouse"));
  EXPECT_TRUE(may("a.example.com"));
  EXPECT_FALSE(may("c2VjcmV0.evil.test"));
  EXPECT_FALSE(may("example.org"));
}

TEST_F(Rules, TellTheNamesThatTheySpellOut) {
  const auto names = book->names_for(run);
  EXPECT_NE(std::find(names.begin(), names.end(), "openai.gatehouse"), names.end());
  for (const std::string& name : names) EXPECT_FALSE(name.contains('*')) << name;
}

TEST(SyntheticNames, AreTheSameAtEveryGatewayOfARun) {
  const RunId run = RunId::fresh();
  const SyntheticNames here(run);
  const SyntheticNames there(run);
  const SyntheticNames other(RunId::fresh());
  const auto pair = here.addresses_of("api.example.com");
  for (const auto& address : {pair.v4, pair.v6}) {
    EXPECT_TRUE(SyntheticNames::is_synthetic(address)) << address.text();
    EXPECT_TRUE(there.stands_for(address, "api.example.com"));
    EXPECT_FALSE(there.stands_for(address, "b.example.com"));
    EXPECT_EQ(there.name_of(address), std::nullopt) << "it did not answer for it";
  }
  EXPECT_FALSE(other.stands_for(pair.v6, "api.example.com"));
  for (const char* text : {"10.0.0.1", "198.20.0.1", "198.17.255.255", "fd68::1"}) {
    EXPECT_FALSE(SyntheticNames::is_synthetic(*wire::IpAddress::parse(text))) << text;
  }
}

TEST(SyntheticNames, ComeBackAsTheNameTheyWereGivenFor) {
  SyntheticNames names(RunId::from_bytes({7}));
  std::map<std::string, std::vector<std::string>> by_address;
  for (int i = 0; i < 3000; ++i) {
    const std::string name = "host-" + std::to_string(i) + ".example.com";
    names.answered(name);
    by_address[names.addresses_of(name).v4.text()].push_back(name);
    EXPECT_EQ(names.name_of(names.addresses_of(name).v6), name);
  }
  std::size_t shared = 0;
  for (const auto& [address, given] : by_address) {
    const auto name = names.name_of(*wire::IpAddress::parse(address));
    if (given.size() == 1) EXPECT_EQ(name, given.front());
    if (given.size() > 1) EXPECT_EQ(name, std::nullopt) << "which of two it is, the client says";
    shared += given.size() > 1 ? 1 : 0;
  }
  EXPECT_GT(shared, 0u);
}

TEST(Refusal, SpeaksTheCallersDialect) {
  const Error denied(Error::kDenied, "POST a/b: no \"rule\"");
  const std::string openai =
      response_of({denied, ipc::ServiceKind::kOpenAi, "default-deny", "", "", true});
  EXPECT_TRUE(openai.starts_with("HTTP/1.1 403 Forbidden\r\n")) << openai;
  EXPECT_TRUE(openai.contains(R"({"error":{"message":"POST a/b: no \"rule\"")")) << openai;
  const std::string mcp =
      response_of({denied, ipc::ServiceKind::kMcp, "default-deny", "7", "", false});
  EXPECT_TRUE(mcp.contains(R"("id":7,"error":{"code":-32007)")) << mcp;
  EXPECT_FALSE(mcp.contains("connection: close"));
  EXPECT_FALSE(mcp.contains("retry-after"));
  const std::string a2a =
      response_of({denied, ipc::ServiceKind::kA2a, "default-deny", "7", "", false});
  EXPECT_TRUE(a2a.contains(R"("id":7,"error":{"code":-32000)")) << a2a;
  const std::string rest =
      response_of({denied, ipc::ServiceKind::kA2a, "default-deny", "", "", false});
  EXPECT_TRUE(rest.contains(R"({"error":{"code":403,"status":"PERMISSION_DENIED")")) << rest;
}

TEST(Refusal, SaysWhenToComeAgainWhereThatIsKnown) {
  Refusal busy{{Error::kUnavailable, "busy"}, ipc::ServiceKind::kAnthropic, "", "", "x: y\r\n"};
  busy.retry_after_s = 7;
  const std::string told = response_of(busy);
  EXPECT_TRUE(told.starts_with("HTTP/1.1 503 Service Unavailable\r\n")) << told;
  EXPECT_TRUE(told.contains("\r\nretry-after: 7\r\nx: y\r\n")) << told;
}

TEST(Refusal, SaysWhenToTryAgainWhereThatHelps) {
  const auto answer = [](Error::Code code) {
    return response_of({Error(code, "why"), ipc::ServiceKind::kOpenAi, "", "", "", true});
  };
  for (const Error::Code code :
       {Error::kExhausted, Error::kUnavailable, Error::kAuditUnavailable}) {
    EXPECT_TRUE(answer(code).contains("\r\nretry-after: 1\r\n")) << answer(code);
  }
  EXPECT_FALSE(answer(Error::kDenied).contains("retry-after"));
  EXPECT_FALSE(answer(Error::kUpstream).contains("retry-after"));
}

}  // namespace
}  // namespace gatehouse::gateway
