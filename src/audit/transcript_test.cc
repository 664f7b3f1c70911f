// SPDX-License-Identifier: Apache-2.0
#include "audit/transcript.h"

#include <gtest/gtest.h>

#include "wire/json.h"

namespace gatehouse::audit {
namespace {

const RunId kRun = RunId::from_bytes({1});

Entry entry_of(Kind kind, std::int64_t second) {
  Entry entry;
  entry.kind = kind;
  entry.role = "gateway";
  entry.tenant = "acme";
  entry.run = kRun;
  entry.trace.bytes = {7};
  entry.wall_ns = 1'700'000'000'000'000'000 + second * 1'000'000'000;
  return entry;
}

Entry intent_of(int number, std::string_view call, std::string_view method) {
  Entry entry = entry_of(Kind::kIntent, number);
  entry.exchange = ExchangeId::from_bytes({static_cast<std::uint8_t>(number)});
  entry.add("call", call);
  entry.add("method", method);
  entry.add("host", "calendar.example");
  entry.add("path", "/events");
  return entry;
}

Entry settled_of(const Entry& intent, std::string_view state) {
  Entry entry = intent;
  entry.kind = Kind::kSettled;
  entry.add("state", state);
  return entry;
}

Result<std::string> no_body(const BodyRef& body) {
  if (body.name == "llm.text") return std::string("once upon\x1b[31m a time");
  return failure(Error::kNotFound, "gone");
}

TEST(Transcript, TellsEffectsAndWhatNobodyKnows) {
  Transcript story;
  Entry start = entry_of(Kind::kRunStarted, 0);
  start.add("agent", "claw");
  start.add("user", "alice");
  story.add(start);
  const Entry post = intent_of(1, "http", "POST");
  const Entry get = intent_of(2, "http", "GET");
  const Entry put = intent_of(3, "http", "PUT");
  const Entry lost = intent_of(4, "http", "DELETE");
  for (const Entry& entry : {post, get, put, lost}) story.add(entry);
  story.add(settled_of(put, "cut"));
  story.add(settled_of(get, "done"));
  story.add(settled_of(post, "done"));
  ASSERT_EQ(story.steps().size(), 5U);
  EXPECT_TRUE(story.steps()[1].is_effect());
  EXPECT_FALSE(story.steps()[2].is_effect());
  EXPECT_EQ(story.steps()[1].state(), "done");
  EXPECT_EQ(story.steps()[4].state(), "in doubt");
  const std::string text = story.text(no_body, false);
  EXPECT_TRUE(text.contains("agent  claw for alice, tenant acme")) << text;
  EXPECT_TRUE(text.contains("done        +1.000 s  POST calendar.example/events")) << text;
  EXPECT_TRUE(text.contains("in doubt    +3.000 s  PUT calendar.example/events")) << text;
  EXPECT_TRUE(text.contains("in doubt    +4.000 s  DELETE calendar.example/events")) << text;
}

TEST(Transcript, TellsWhatAnotherAgentWasAskedAndSaid) {
  Transcript story;
  Entry send = intent_of(1, "a2a", "POST");
  send.add("service", "helper");
  send.add("a2a.operation", "SendMessage");
  send.add("a2a.effect", "true");
  send.bodies.push_back({"a2a.said", {}, 5});
  Entry read = intent_of(2, "a2a", "POST");
  read.add("a2a.operation", "GetTask");
  Entry settled = settled_of(send, "done");
  settled.add("a2a.task", "t-1");
  settled.add("a2a.state", "completed");
  for (const Entry& entry : {send, read, settled}) story.add(entry);
  EXPECT_TRUE(story.steps()[0].is_effect());
  EXPECT_FALSE(story.steps()[1].is_effect());
  EXPECT_EQ(act_of(story.steps()[0]), "SendMessage at helper");
  const std::string text = story.text(no_body, false);
  EXPECT_TRUE(text.contains("t-1: completed")) << text;
}

TEST(Transcript, TellsWhatWasSaidInAWebSocket) {
  Transcript story;
  const Entry socket = intent_of(1, "websocket", "GET");
  Entry settled = settled_of(socket, "cut");
  settled.bodies = {{.name = "messages"}, {.name = "messages.2"}};
  story.add(socket);
  story.add(settled);
  EXPECT_TRUE(story.steps()[0].is_effect());
  const std::string text = story.text(
      [](const BodyRef& body) -> Result<std::string> { return "said in " + body.name; }, false);
  EXPECT_TRUE(text.contains("websocket WebSocket calendar.example/events: cut")) << text;
  EXPECT_TRUE(text.contains("messages   said in messages\n")) << text;
  EXPECT_TRUE(text.contains("messages   said in messages.2\n")) << text;
  EXPECT_TRUE(text.contains("in doubt    +0.000 s  WebSocket calendar.example/events")) << text;
  EXPECT_TRUE(text.contains("0 tool calls, 1 requests")) << text;
}

TEST(Transcript, NumbersThatAreTooLargeOverflowNothing) {
  Transcript story;
  for (int i = 1; i < 4; ++i) {
    Entry intent = intent_of(i, "llm", "POST");
    intent.wall_ns = i % 2 == 0 ? INT64_MIN : INT64_MAX;
    story.add(intent);
    Entry settled = settled_of(intent, "done");
    settled.add("tokens.input", std::to_string(INT64_MAX));
    settled.add("tokens.output", i == 1 ? "99999999999999999999" : "-5");
    settled.add("duration_us", std::to_string(INT64_MAX));
    story.add(settled);
  }
  EXPECT_EQ(story.tokens().input, kCountMost);
  EXPECT_EQ(story.tokens().output, kCountMost);
  EXPECT_TRUE(story.text(no_body, false).contains("1,000,000,000,000,000 tokens in"));
}

TEST(Transcript, AUseBelongsToItsExchangeWhicheverIsInTheLogFirst) {
  for (const bool use_first : {true, false}) {
    Transcript story;
    const Entry intent = intent_of(1, "http", "GET");
    Entry use = entry_of(Kind::kVaultUse, 1);
    use.exchange = intent.exchange;
    story.add(use_first ? use : intent);
    story.add(use_first ? intent : use);
    story.add(settled_of(intent, "done"));
    ASSERT_EQ(story.steps().size(), 1U) << use_first;
    EXPECT_EQ(story.steps()[0].state(), "done");
    EXPECT_EQ(story.steps()[0].uses.size(), 1U);
  }
}

TEST(Transcript, ShowsWhatAModelHadSaidWhenItWasCut) {
  Transcript story;
  Entry call = intent_of(1, "llm", "POST");
  call.add("llm.model", "m");
  story.add(call);
  Entry cut = settled_of(call, "cut");
  cut.add("tokens.input", "1200");
  cut.add("tokens.output", "30");
  cut.bodies.push_back({"llm.text", {1}, 17, {}});
  cut.bodies.push_back({"llm.reasoning", {2}, 9, {}});
  story.add(cut);
  EXPECT_EQ(story.tokens().input, 1200);
  const std::string text = story.text(no_body, false);
  EXPECT_TRUE(text.contains("partial    once upon")) << text;
  EXPECT_FALSE(text.contains('\x1b')) << "it cannot steer the terminal";
  EXPECT_TRUE(text.contains("not readable: gone")) << text;
  EXPECT_TRUE(story.json(no_body).contains("llm.reasoning.unreadable"));
}

Entry model_call() {
  Entry call = intent_of(1, "llm", "POST");
  std::erase_if(call.tags, [](const auto& tag) { return tag.first == "path"; });
  call.add("path", "/v1/chat/completions");
  call.add("llm.provider", "openai");
  call.add("llm.input.in", "request");
  call.bodies.push_back({"request", {1}, 0, {}});
  return call;
}

TEST(Transcript, ReadsWhatAModelSaidInWhatIsOnRecordAnyway) {
  const auto fetch = [](const BodyRef& body) -> Result<std::string> {
    if (body.name == "request") {
      return std::string(
          R"({"model":"m","messages":[{"role":"user","content":"old"},)"
          R"({"role":"assistant","content":"hm"},{"role":"user","content":"and\nnow?"}]})");
    }
    return std::string(
        R"({"id":"1","model":"m","choices":[{"index":0,"finish_reason":"tool_calls","message":)"
        R"({"role":"assistant","content":"I look.","reasoning_content":"Hm.","tool_calls":)"
        R"([{"id":"c","type":"function","function":{"name":"look","arguments":"{}"}}]}}]})");
  };
  Transcript story;
  const Entry call = model_call();
  story.add(call);
  Entry settled = settled_of(call, "done");
  settled.add("llm.answer.in", "response");
  settled.bodies = {{"response", {2}, 0, {}}};
  story.add(settled);
  const std::string json = story.json(fetch);
  const auto steps = wire::scan_array(wire::scan_object(json)->find("steps")->raw).value();
  const auto step = wire::scan_object(steps.at(0).raw).value();
  const auto bodies = [&](std::string_view of) {
    return wire::scan_object(wire::scan_object(step.find(of)->raw)->find("bodies")->raw).value();
  };
  EXPECT_EQ(bodies("entry").string("llm.input"), R"([{"role":"user","text":"and\nnow?"}])");
  EXPECT_EQ(bodies("settled").string("llm.text"), "I look.");
  EXPECT_EQ(bodies("settled").string("llm.reasoning"), "Hm.");
  EXPECT_EQ(bodies("settled").string("llm.tool_calls"),
            R"([{"id":"c","name":"look","arguments":"{}"}])");
  EXPECT_EQ(bodies("settled").find("llm.input"), nullptr) << "it is the Intent's";
  const std::string text = story.text(fetch, false);
  for (const char* line :
       {"says       I look.", "reasoning  Hm.", "calls      look {}", "user       and"}) {
    EXPECT_TRUE(text.contains(line)) << line << '\n' << text;
  }
  EXPECT_FALSE(text.contains("old")) << "it was told before: " << text;
}

TEST(Transcript, SaysWhyWhatAModelSaidCannotBeReadAgain) {
  const auto said = [](const Entry& call, const FetchBody& fetch) {
    Transcript story;
    story.add(call);
    EXPECT_TRUE(story.text(fetch, false).contains("[not readable: "));
    return story.json(fetch);
  };
  const auto garbage = [](const BodyRef&) -> Result<std::string> { return std::string("{"); };
  EXPECT_TRUE(said(model_call(), no_body).contains(R"("llm.input.unreadable":"gone")"));
  EXPECT_TRUE(said(model_call(), garbage).contains(R"("llm.input.unreadable":"JSON at byte)"));
  Entry elsewhere = model_call();
  elsewhere.tags[3].second = "/v1/files";
  EXPECT_TRUE(said(elsewhere, garbage).contains("names no endpoint"));
  Entry without = model_call();
  without.bodies.clear();
  EXPECT_TRUE(said(without, garbage).contains("names no body 'request'"));
}

TEST(Transcript, SaysWhatItCostAndOfWhatNobodyKnows) {
  Transcript story;
  for (int i = 1; i <= 3; ++i) {
    Entry call = intent_of(i, "llm", "POST");
    if (i == 3) call.add("llm.provider_tools", "web_search");
    story.add(call);
    Entry settled = settled_of(call, "done");
    settled.add("tokens.input", "10");
    i == 3 ? settled.add("cost.unknown", "true") : settled.add("cost.micro_usd", "1234567");
    story.add(settled);
  }
  EXPECT_EQ(story.tokens().cost_micro_usd, 2'469'134);
  EXPECT_EQ(story.tokens().unpriced, 1);
  const std::string text = story.text(no_body, false);
  EXPECT_TRUE(text.contains("$1.234567")) << text;
  EXPECT_TRUE(text.contains("price unknown")) << text;
  EXPECT_TRUE(text.contains("$2.469134 and 1 of unknown price")) << text;
  EXPECT_TRUE(text.contains("at the model's provider: web_search")) << "an effect: " << text;
}

}  // namespace
}  // namespace gatehouse::audit
