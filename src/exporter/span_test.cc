// SPDX-License-Identifier: Apache-2.0
#include "exporter/span.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "audit/root_span.h"
#include "exporter/access_line.h"
#include "wire/json.h"

namespace gatehouse::exporter {
namespace {

using audit::Entry;
using audit::Kind;

constexpr std::int64_t kEnd = 1'764'000'000'123'456'789;

Entry settled() {
  Entry entry;
  entry.kind = Kind::kSettled;
  entry.wall_ns = kEnd;
  entry.role = "gateway";
  entry.tenant = "acme";
  entry.run = RunId::fresh();
  entry.trace = TraceId::fresh();
  entry.span = SpanId::fresh();
  entry.exchange = ExchangeId::fresh();
  entry.add("agent", "shell");
  entry.add("call", "llm");
  entry.add("method", "POST");
  entry.add("host", "api.openai.com");
  entry.add("path", "/v1/chat/completions");
  entry.add("upstream", "https://api.openai.com:443");
  entry.add("ruling", "allow");
  entry.add("rule", "models");
  entry.add("state", "done");
  entry.add("duration_us", "1500");
  entry.add("status", "200");
  return entry;
}

Entry chat() {
  Entry entry = settled();
  entry.add("llm.operation", "chat");
  entry.add("llm.provider", "openai");
  entry.add("llm.model", "gpt-x");
  entry.add("llm.stream", "true");
  entry.add("llm.response_model", "gpt-x-1");
  entry.add("llm.finish_reason", "stop");
  entry.add("llm.first_chunk_us", "250000");
  entry.add("tokens.input", "12");
  entry.add("tokens.output", "34");
  entry.add("tokens.cached", "5");
  entry.add("tokens.cache_write_5m", "2");
  entry.add("tokens.cache_write_1h", "1");
  entry.add("tokens.reasoning", "6");
  entry.add("cost.micro_usd", "789");
  return entry;
}

// What a span says: its own members, and its attributes by name, as JSON.
struct Said {
  std::map<std::string, std::string> members;
  std::map<std::string, std::string> attributes;
};
Said said(const Entry& entry) {
  Said out;
  const auto span = span_of(entry);
  if (!span) return out;
  const auto object = wire::scan_object(*span, wire::Duplicates::kRejectEverywhere);
  EXPECT_TRUE(object) << *span;
  if (!object) return out;
  for (const auto& member : object->members) out.members[member.key] = member.value.raw;
  for (const auto& item : *wire::scan_array(out.members.at("attributes"))) {
    const auto attribute = wire::scan_object(item.raw);
    out.attributes[*attribute->string("key")] = attribute->find("value")->raw;
  }
  return out;
}

TEST(Span, OfACallToAModelGoesByTheGenAiConventions) {
  const Entry entry = chat();
  const Said span = said(entry);
  EXPECT_EQ(span.members.at("name"), "\"chat gpt-x\"");
  EXPECT_EQ(span.members.at("kind"), "3");
  EXPECT_EQ(span.members.at("traceId"), "\"" + entry.trace.text() + "\"");
  EXPECT_EQ(span.members.at("spanId"), "\"" + entry.span.text() + "\"");
  EXPECT_EQ(span.members.at("parentSpanId"), "\"" + audit::root_span_of(*entry.run).text() + "\"");
  EXPECT_EQ(span.members.at("startTimeUnixNano"), "\"1764000000121956789\"");
  EXPECT_EQ(span.members.at("endTimeUnixNano"), "\"1764000000123456789\"");
  EXPECT_EQ(span.members.at("status"), R"({"code":0})");
  const std::map<std::string, std::string> wanted = {
      {"gen_ai.operation.name", R"({"stringValue":"chat"})"},
      {"gen_ai.provider.name", R"({"stringValue":"openai"})"},
      {"gen_ai.agent.name", R"({"stringValue":"shell"})"},
      {"gen_ai.request.model", R"({"stringValue":"gpt-x"})"},
      {"gen_ai.request.stream", R"({"boolValue":true})"},
      {"gen_ai.response.model", R"({"stringValue":"gpt-x-1"})"},
      {"gen_ai.response.finish_reasons", R"({"arrayValue":{"values":[{"stringValue":"stop"}]}})"},
      {"gen_ai.response.time_to_first_chunk", R"({"doubleValue":0.250000})"},
      {"gen_ai.usage.input_tokens", R"({"intValue":"12"})"},
      {"gen_ai.usage.output_tokens", R"({"intValue":"34"})"},
      {"gen_ai.usage.cache_read.input_tokens", R"({"intValue":"5"})"},
      {"gen_ai.usage.cache_creation.input_tokens", R"({"intValue":"3"})"},
      {"gen_ai.usage.reasoning.output_tokens", R"({"intValue":"6"})"},
      {"server.address", R"({"stringValue":"api.openai.com"})"},
      {"server.port", R"({"intValue":"443"})"},
      {"http.response.status_code", R"({"intValue":"200"})"},
      {"gatehouse.cost.micro_usd", R"({"intValue":"789"})"},
      {"gatehouse.run.id", "{\"stringValue\":\"" + entry.run->text() + "\"}"},
  };
  for (const auto& [name, value] : wanted) {
    ASSERT_TRUE(span.attributes.contains(name)) << name;
    EXPECT_EQ(span.attributes.at(name), value) << name;
  }
  EXPECT_FALSE(span.attributes.contains("error.type"));
}

TEST(Span, OfAToolNamesItAndWhatWentWrong) {
  Entry entry = settled();
  entry.add("mcp.method", "tools/call");
  entry.add("tool", "search");
  entry.add("tool.is_error", "true");
  const Said span = said(entry);
  EXPECT_EQ(span.members.at("name"), "\"tools/call search\"");
  EXPECT_EQ(span.attributes.at("gen_ai.operation.name"), R"({"stringValue":"execute_tool"})");
  EXPECT_EQ(span.attributes.at("mcp.method.name"), R"({"stringValue":"tools/call"})");
  EXPECT_EQ(span.attributes.at("gen_ai.tool.name"), R"({"stringValue":"search"})");
  EXPECT_EQ(span.attributes.at("error.type"), R"({"stringValue":"tool_error"})");
  EXPECT_EQ(span.members.at("status"), R"({"code":2})");
}

TEST(Span, OfAnotherAgentThatIsGivenSomethingToDoInvokesIt) {
  Entry entry = settled();
  entry.add("service", "travel");
  entry.add("a2a.operation", "SendMessage");
  const Said span = said(entry);
  EXPECT_EQ(span.members.at("name"), "\"invoke_agent travel\"");
  EXPECT_EQ(span.members.at("kind"), "3");
  EXPECT_EQ(span.attributes.at("gen_ai.operation.name"), R"({"stringValue":"invoke_agent"})");
  Entry other = settled();
  other.add("a2a.operation", "GetTask");
  EXPECT_EQ(said(other).members.at("name"), "\"GetTask\"");
}

TEST(Span, TellsHowAnExchangeFailed) {
  struct Case {
    const char* what;
    std::vector<std::pair<std::string, std::string>> tags;
    std::string type;
  };
  for (const Case& one :
       std::vector<Case>{{"status", {{"status", "503"}}, "503"},
                         {"state", {{"state", "cut"}}, "cut"},
                         {"error", {{"state", "failed"}, {"error", "upstream"}}, "upstream"}}) {
    Entry entry = settled();
    for (const auto& [key, value] : one.tags) {
      std::erase_if(entry.tags, [&](const auto& tag) { return tag.first == key; });
      entry.add(key, value);
    }
    EXPECT_EQ(said(entry).attributes["error.type"], "{\"stringValue\":\"" + one.type + "\"}")
        << one.what;
  }
}

TEST(Span, OfARunIsTheRootThatItsExchangesAreBelow) {
  Entry entry;
  entry.kind = Kind::kRunEnded;
  entry.wall_ns = kEnd;
  entry.run = RunId::fresh();
  entry.trace = TraceId::fresh();
  entry.add("agent", "shell");
  entry.add("user", "alice");
  entry.add("exit_status", "3");
  entry.add("duration_us", "2000000");
  const Said span = said(entry);
  EXPECT_EQ(span.members.at("name"), "\"invoke_agent shell\"");
  EXPECT_EQ(span.members.at("kind"), "1");
  EXPECT_EQ(span.members.at("spanId"), "\"" + audit::root_span_of(*entry.run).text() + "\"");
  EXPECT_FALSE(span.members.contains("parentSpanId"));
  EXPECT_EQ(span.attributes.at("gen_ai.operation.name"), R"({"stringValue":"invoke_agent"})");
  for (const auto& [name, value] : span.attributes) EXPECT_FALSE(value.contains("alice")) << name;
}

TEST(Span, IsBelowTheAgentsOwnOrLinkedToAForeignOne) {
  Entry entry = settled();
  entry.add("parent", "00f067aa0ba902b7");
  entry.linked_trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01";
  const Said span = said(entry);
  EXPECT_EQ(span.members.at("parentSpanId"), "\"00f067aa0ba902b7\"");
  EXPECT_EQ(span.members.at("links"),
            R"([{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b8"}])");
}

TEST(Span, OfWhatWasRefusedSaysSo) {
  Entry entry = settled();
  entry.kind = Kind::kRefused;
  EXPECT_EQ(said(entry).attributes.at("error.type"), R"({"stringValue":"denied"})");
  for (const Kind none : {Kind::kIntent, Kind::kVaultUse, Kind::kRunStarted, Kind::kAdministered}) {
    entry.kind = none;
    EXPECT_FALSE(span_of(entry)) << name_of(none);
    EXPECT_FALSE(access_line(entry)) << name_of(none);
  }
}

TEST(ExportRequest, IsOneResourceWithItsSpans) {
  const std::string json = export_request({{"service.name", "gate"}}, {*span_of(chat())});
  ASSERT_TRUE(wire::scan_value(json)) << json;
  EXPECT_TRUE(json.starts_with(
      R"({"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":)"
      R"({"stringValue":"gate"}}]},"scopeSpans":[{"scope":{"name":"gatehouse",)"))
      << json;
}

TEST(ExportResponse, IsReadInBothSpellingsOfNumbers) {
  EXPECT_EQ(parse_export_response(R"({"partialSuccess":{"rejectedSpans":3}})").rejected, 3);
  EXPECT_EQ(parse_export_response(R"({"partialSuccess":{"rejectedSpans":"3"}})").rejected, 3);
  for (const char* none : {"", "{}", "[]", "null", R"({"partialSuccess":null})", "\x0a\x02",
                           R"({"partialSuccess":{"rejectedSpans":-5}})"}) {
    EXPECT_EQ(parse_export_response(none).rejected, 0) << none;
  }
}

TEST(AccessLine, HasTheNumbersAndTheNamesOfAnExchange) {
  const Entry entry = chat();
  const auto line = access_line(entry);
  ASSERT_TRUE(line && line->ends_with("}\n"));
  for (const std::string& part : std::vector<std::string>{
           R"("time":"2025-11-24T16:00:00.123Z")", R"("outcome":"done")",
           R"("run":")" + entry.run->text(), R"("agent":"shell")",
           R"("path":"/v1/chat/completions")", R"("status":200)", R"("duration_ms":1.500)",
           R"("model":"gpt-x")", R"("input_tokens":12)", R"("cost_micro_usd":789)"}) {
    EXPECT_TRUE(line->contains(part)) << part << " is not in " << *line;
  }
}

TEST(AccessLine, IsOneLineOfAtMostAPagesSizeWhateverItIsToldOf) {
  for (const char* odd : {"\n\r\t\x1b[2J\x01", "\xff\xfe", "\"\\", "a"}) {
    Entry entry = settled();
    for (const char* key : {"agent",
                            "service",
                            "call",
                            "method",
                            "host",
                            "path",
                            "ruling",
                            "rule",
                            "alarm",
                            "state",
                            "reason",
                            "renewed",
                            "llm.operation",
                            "llm.provider",
                            "llm.model",
                            "llm.response_id",
                            "llm.response_model",
                            "llm.finish_reason",
                            "mcp.method",
                            "tool",
                            "error"}) {
      std::erase_if(entry.tags, [&](const auto& tag) { return tag.first == key; });
      std::string value;
      while (value.size() < 4000) value += odd;
      entry.add(key, value);
    }
    entry.tenant = std::string(4000, '\x02');
    const auto line = access_line(entry);
    ASSERT_TRUE(line);
    EXPECT_LE(line->size(), kLineMost);
    EXPECT_EQ(line->find('\n'), line->size() - 1);
    EXPECT_TRUE(wire::scan_object(line->substr(0, line->size() - 1))) << *line;
    EXPECT_TRUE(line->contains(R"("truncated":true)"));
    for (const char c : line->substr(0, line->size() - 1)) {
      EXPECT_GE(static_cast<unsigned char>(c), 0x20);
    }
  }
}

}  // namespace
}  // namespace gatehouse::exporter
