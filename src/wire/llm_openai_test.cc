// SPDX-License-Identifier: Apache-2.0
#include "wire/llm_openai.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace gatehouse::wire {
namespace {

TEST(OpenAiRequest, SaysWhatRulesNeed) {
  const auto request = OpenAiRequest::parse(R"({"model":"gpt-x","stream":true,"max_tokens":9,
    "messages":[{"role":"user","content":"old"},{"role":"assistant","content":null},
    {"role":"tool","content":"4"},{"role":"user","content":[{"type":"text","text":"hi"}]}],
    "tools":[{"type":"function","function":{"name":"f"}},{"type":"web_search"}]})");
  ASSERT_TRUE(request) << request.error().message();
  EXPECT_EQ(request->model, "gpt-x");
  EXPECT_TRUE(request->stream);
  EXPECT_FALSE(request->include_usage);
  EXPECT_EQ(request->messages, 4U);
  ASSERT_EQ(request->new_messages.size(), 2U);
  EXPECT_EQ(request->new_messages[0].role, "tool");
  EXPECT_EQ(request->new_messages[1].text, "hi");
  EXPECT_EQ(request->tools, std::vector<std::string>{"f"});
  EXPECT_EQ(request->provider_tools, std::vector<std::string>{"web_search"});
  EXPECT_EQ(request->max_tokens, 9);
  EXPECT_FALSE(OpenAiRequest::parse(R"({"model":"a","\u006dodel":"b","messages":[]})"));
  EXPECT_FALSE(OpenAiRequest::parse(R"({"model":"a","messages":[],"stream":"yes"})"));
}

TEST(OpenAiAnswer, IsReadWithItsUsage) {
  const auto answer = OpenAiAnswer::parse(R"({"model":"m","choices":[{"index":0,"message":{
    "content":"hi","reasoning":"hm","tool_calls":[{"id":"c1","function":{"name":"f",
    "arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,
    "completion_tokens":7,"prompt_tokens_details":{"cached_tokens":2},
    "completion_tokens_details":{"reasoning_tokens":3}}})");
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->text, "hi");
  EXPECT_EQ(answer->reasoning, "hm");
  EXPECT_EQ(answer->tool_calls.at(0).name, "f");
  EXPECT_EQ(answer->usage, (OpenAiUsage{5, 7, 2, 3}));
  EXPECT_EQ(OpenAiAnswer::parse("{}").error(), Error::kUpstream);
}

TEST(OpenAiStream, PutsAnAnswerTogether) {
  OpenAiStream stream;
  for (const char* data :
       {R"({"choices":[{"index":0,"delta":{"content":"he","reasoning_content":"r"}}]})",
        R"({"choices":[{"index":0,"delta":{"content":"y","tool_calls":[{"index":1,"id":"b",)"
        R"("function":{"name":"g","arguments":"{\"x"}}]}}]})",
        R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":)"
        R"({"arguments":"\":1}"}}]},"finish_reason":"tool_calls"}]})",
        R"({"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}})", "[DONE]"}) {
    ASSERT_TRUE(stream.feed(data)) << data;
  }
  EXPECT_TRUE(stream.done());
  EXPECT_EQ(stream.answer().text, "hey");
  EXPECT_EQ(stream.answer().reasoning, "r");
  EXPECT_EQ(stream.answer().tool_calls.at(1).arguments, R"({"x":1})");
  EXPECT_EQ(stream.answer().finish_reason, "tool_calls");
  EXPECT_EQ(stream.answer().usage->completion_tokens, 2);
  EXPECT_EQ(stream.feed("nonsense").error(), Error::kUpstream);
}

TEST(OpenAiSplice, ChangesOnlyWhatItMust) {
  for (const char* text :
       {R"({ })", R"( {"a":1.50} )", R"({"stream_options":null,"b":2})", R"({"stream_options":{}})",
        R"({"stream_options":{"x":1}})", R"({"stream_options":{"include_usage" : false,"x":1}})",
        R"({"stream_options":{"include_usage":true}})"}) {
    const auto spliced = with_include_usage(text);
    ASSERT_TRUE(spliced) << text;
    auto edited = boost::json::parse(text).as_object();
    auto& options = edited["stream_options"];
    if (!options.is_object()) options.emplace_object();
    options.as_object()["include_usage"] = true;
    EXPECT_EQ(boost::json::parse(*spliced), boost::json::value(edited)) << *spliced;
  }
  EXPECT_EQ(with_include_usage(R"({"a":1.50})"),
            R"({"stream_options":{"include_usage":true},"a":1.50})");
}

TEST(OpenAiError, IsInTheCallersDialect) {
  EXPECT_EQ(openai_error_json(403, "denied", "", "no"),
            R"({"error":{"message":"no","type":"denied","param":null,"code":null}})");
}

}  // namespace
}  // namespace gatehouse::wire
