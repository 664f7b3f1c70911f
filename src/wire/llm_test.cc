// SPDX-License-Identifier: Apache-2.0
// Requests, answers and usage in each dialect, by the providers' documented bodies and events.
#include "wire/llm.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/json.hpp>

#include "wire/event_stream.h"
#include "wire/json_array.h"

namespace gatehouse::wire {
namespace {

using Provider = LlmProvider;
using Strings = std::vector<std::string>;

LlmEndpoint at(Provider provider, std::string_view path) {
  return llm_endpoint(provider, "POST", path);
}

const LlmEndpoint kChat = at(Provider::kOpenAi, "/v1/chat/completions");
const LlmEndpoint kResponses = at(Provider::kOpenAi, "/v1/responses");
const LlmEndpoint kEmbeddings = at(Provider::kOpenAi, "/v1/embeddings");
const LlmEndpoint kGemini = at(Provider::kGemini, "/v1beta/models/gemini-x:generateContent");
const LlmEndpoint kGeminiStream =
    at(Provider::kGemini, "/v1beta/models/gemini-x:streamGenerateContent");
const LlmEndpoint kConverse = at(Provider::kBedrock, "/model/us.claude-x%3A0/converse");
const LlmEndpoint kConverseStream =
    at(Provider::kBedrock, "/model/us.claude-x%3A0/converse-stream");
const LlmEndpoint kMessages = at(Provider::kAnthropic, "/v1/messages");

std::string told(const std::vector<LlmMessage>& messages) {
  std::string out;
  for (const LlmMessage& message : messages) out += message.role + ":" + message.text + ";";
  return out;
}

// A conversation in a dialect: one message of the user's after the other, each of some size.
struct Talk {
  const LlmEndpoint* endpoint;
  std::string opening;
  std::string message;  // with %, where its text is
  std::string answer;   // the same of the model's
  std::string closing;

  [[nodiscard]] static std::string text(int number) {
    return std::to_string(number) + std::string(400, '.');
  }
  static std::string filled(const std::string& form, int number) {
    const std::size_t at = form.find('%');
    return form.substr(0, at) + text(number) + form.substr(at + 1);
  }
  [[nodiscard]] std::string body(const std::vector<int>& numbers) const {
    std::string out = opening;
    for (const int number : numbers) {
      if (out.back() == '}') out += ", ";
      out += filled(number < 0 ? answer : message, number);
    }
    return out + closing;
  }
};

const std::array kTalks = {
    Talk{&kChat, R"({"model":"m","messages":[)", R"({"role":"user","content":"%"})",
         R"({"role":"assistant","content":"%"})",
         R"(],"tools":[{"type":"web_search"},{"type":"function","function":{"name":"f"}}]})"},
    Talk{&kMessages, R"({"model":"m","messages":[)", R"({"role":"user","content":"%"})",
         R"({"role":"assistant","content":"%"})", R"(],"tools":[{"type":"web_search_20250305"}]})"},
    Talk{&kResponses, R"({"model":"m","input":[)", R"({"role":"user","content":"%"})",
         R"({"role":"assistant","content":"%"})", R"(],"tools":[{"type":"mcp"}]})"},
    Talk{&kGemini, R"({"contents":[)", R"({"role":"user","parts":[{"text":"%"}]})",
         R"({"role":"model","parts":[{"text":"%"}]})", R"(],"tools":[{"googleSearch":{}}]})"},
    Talk{&kConverse, R"({"messages":[)", R"({"role":"user","content":[{"text":"%"}]})",
         R"({"role":"assistant","content":[{"text":"%"}]})", R"(],"inferenceConfig":{}})"},
};

// What of `body` is known by one that it begins like.
KnownJson known_by(const LlmEndpoint& endpoint, const std::string& before,
                   const std::string& body) {
  KnownJson known;
  const auto request = LlmRequest::parse(endpoint, before);
  EXPECT_TRUE(request);
  for (const LlmPart& part : request->parts) {
    if (!part.is_message || !std::string_view(body).starts_with(before.substr(0, part.at)))
      continue;
    if (body.substr(part.at, part.size) != before.substr(part.at, part.size)) continue;
    known.add(std::string_view(body).substr(part.at, part.size));
  }
  return known;
}

LlmAnswer whole(const LlmEndpoint& endpoint, std::string_view body) {
  LlmAnswerReader reader(endpoint, LlmAnswerReader::Form::kWhole);
  const auto read = reader.read_whole(body);
  EXPECT_TRUE(read) << read.error().message();
  return reader.answer();
}

// The answer of a stream, which says the same however it is split, and comes through as it is.
LlmAnswer streamed(const LlmEndpoint& endpoint, const std::string& stream,
                   LlmAnswerReader::Form form = LlmAnswerReader::Form::kEvents) {
  LlmAnswer last;
  for (const std::size_t piece : {stream.size(), std::size_t{1}, std::size_t{7}}) {
    LlmAnswerReader reader(endpoint, form);
    std::string relayed;
    for (std::size_t i = 0; i < stream.size(); i += piece) {
      const std::string copy = stream.substr(i, piece);
      relayed += reader.feed(copy);
      if (piece % 2 == 0) reader.catch_up();  // when it is done changes nothing
    }
    relayed += reader.finish();
    EXPECT_EQ(relayed, stream);
    if (piece != stream.size()) EXPECT_EQ(reader.answer().text, last.text);
    if (piece != stream.size()) EXPECT_EQ(reader.answer().usage, last.usage);
    last = reader.answer();
  }
  return last;
}

std::string events(std::initializer_list<std::string_view> all) {
  std::string out;
  for (const std::string_view data : all) out.append("data: ").append(data).append("\n\n");
  return out;
}

// --- which endpoint

TEST(LlmRequest, HasItsModelUnderOneSpelling) {
  for (const char* body : {R"({"model":"a","Model":"b","messages":[]})",
                           R"({"model":"a","MODELS":["b"],"messages":[]})",
                           R"({"model":"a","fallBacks":["b"],"messages":[]})"}) {
    const auto request = LlmRequest::parse(kChat, body);
    ASSERT_FALSE(request) << body;
    EXPECT_EQ(request.error(), Error::kInvalid);
    EXPECT_TRUE(request.error().message().contains("spell it so")) << request.error().message();
  }
}

// --- OpenAI chat

TEST(OpenAiChat, SaysWhatRulesNeed) {
  const auto request = LlmRequest::parse(kChat, R"({"model":"gpt-x","stream":true,"max_tokens":9,
    "messages":[{"role":"user","content":"old"},{"role":"assistant","content":null},
    {"role":"tool","content":"4"},{"role":"user","content":[{"type":"text","text":"hi"}]}],
    "tools":[{"type":"function","function":{"name":"f"}},{"type":"web_search_2025_08_26"}],
    "plugins":[{"id":"web"}]})");
  ASSERT_TRUE(request) << request.error().message();
  EXPECT_EQ(request->model, "gpt-x");
  EXPECT_TRUE(request->stream);
  EXPECT_FALSE(request->asks_for_usage);
  EXPECT_EQ(told(request->new_messages), "tool:4;user:hi;");
  EXPECT_EQ(request->tools, Strings{"f"});
  EXPECT_EQ(request->provider_tools, (Strings{"plugin:web", "web_search"}));
  EXPECT_EQ(request->max_tokens, 9);
  EXPECT_FALSE(LlmRequest::parse(kChat, R"({"model":"a","\u006dodel":"b","messages":[]})"));
  EXPECT_FALSE(LlmRequest::parse(kChat, R"({"model":"a","messages":[],"stream":"yes"})"));
  EXPECT_FALSE(LlmRequest::parse(kChat, R"({"messages":[]})"));
}

TEST(OpenAiChat, IsReadWithItsUsage) {
  const auto answer = whole(kChat, R"({"id":"c9","model":"m","choices":[{"index":0,"message":{
    "content":"hi","reasoning":"hm","tool_calls":[{"id":"c1","function":{"name":"f",
    "arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,
    "completion_tokens":7,"prompt_tokens_details":{"cached_tokens":2,"audio_tokens":1},
    "completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":2}}})");
  EXPECT_EQ(answer.id, "c9");
  EXPECT_EQ(answer.text, "hi");
  EXPECT_EQ(answer.reasoning, "hm");
  EXPECT_EQ(answer.tool_calls.at(0).name, "f");
  EXPECT_EQ(answer.usage, (Usage{.input = 5,
                                 .cache_read = 2,
                                 .input_audio = 1,
                                 .output = 7,
                                 .reasoning = 3,
                                 .output_audio = 2}));
  LlmAnswerReader reader(kChat, LlmAnswerReader::Form::kWhole);
  EXPECT_EQ(reader.read_whole("{}").error(), Error::kUpstream);
}

const std::string kChatStream = events(
    {R"({"id":"c","choices":[{"index":0,"delta":{"content":"he","reasoning_content":"r"}}]})",
     R"({"choices":[{"index":0,"delta":{"content":"y","tool_calls":[{"index":1,"id":"b",)"
     R"("function":{"name":"g","arguments":"{\"x"}}]}}]})",
     R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":)"
     R"({"arguments":"\":1}"}}]},"finish_reason":"tool_calls"}]})"});
const std::string kChatUsage =
    events({R"({"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}})"});

TEST(OpenAiChat, IsPutTogetherFromItsStream) {
  const auto answer = streamed(kChat, kChatStream + kChatUsage + events({"[DONE]"}));
  EXPECT_TRUE(answer.is_complete);
  EXPECT_EQ(answer.text, "hey");
  EXPECT_EQ(answer.reasoning, "r");
  EXPECT_EQ(answer.tool_calls.at(0).arguments, R"({"x":1})");
  EXPECT_EQ(answer.finish_reason, "tool_calls");
  EXPECT_EQ(answer.usage->output, 2);
  EXPECT_FALSE(streamed(kChat, kChatStream + "data: nonsense\n\n").is_complete);
}

TEST(OpenAiChat, HidesTheUsageThatTheCallerDidNotAskForAndNothingElse) {
  const std::string end = events({R"({"usage":null,"choices":[]})", "[DONE]"}) + ": bye";
  const std::string stream = "\xef\xbb\xbf: hello\r\n\r\n" + kChatStream + kChatUsage + end;
  for (const std::size_t piece : {stream.size(), std::size_t{1}, std::size_t{5}}) {
    LlmAnswerReader reader(kChat, LlmAnswerReader::Form::kEvents, true);
    std::string relayed;
    for (std::size_t i = 0; i < stream.size(); i += piece) {
      const std::string copy = stream.substr(i, piece);
      relayed += reader.feed(copy);
    }
    relayed += reader.finish();
    EXPECT_EQ(relayed, "\xef\xbb\xbf: hello\r\n\r\n" + kChatStream + end);
    EXPECT_EQ(reader.answer().usage->output, 2);
  }
}

TEST(OpenAiChat, HasUsageSplicedInAndNothingElseChanged) {
  for (const std::string more :
       {"", R"(,"a":1.50)", R"(,"stream_options":null,"b":2)", R"(,"stream_options":{})",
        R"(,"stream_options":{"x":1})", R"(,"stream_options":{"include_usage" : false,"x":1})",
        R"(,"stream_options":{"include_usage":null})"}) {
    const std::string text = R"( {"model":"m","messages":[],"stream":true)" + more + "} ";
    const auto request = LlmRequest::parse(kChat, text);
    ASSERT_TRUE(request && request->usage_edit) << text;
    const std::string spliced = edited(text, *request->usage_edit);
    auto wanted = boost::json::parse(text).as_object();
    auto& options = wanted["stream_options"];
    if (!options.is_object()) options.emplace_object();
    options.as_object()["include_usage"] = true;
    EXPECT_EQ(boost::json::parse(spliced), boost::json::value(wanted)) << spliced;
  }
  const std::string text = R"({"model":"m", "messages":[],"stream":true,"a":1.50})";
  EXPECT_EQ(edited(text, *LlmRequest::parse(kChat, text)->usage_edit),
            R"({"stream_options":{"include_usage":true},"model":"m", "messages":[],"stream":true,)"
            R"("a":1.50})");
  for (const char* as_it_is :
       {R"({"model":"m","messages":[]})",
        R"({"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}})"}) {
    EXPECT_FALSE(LlmRequest::parse(kChat, as_it_is)->usage_edit) << as_it_is;
  }
}

TEST(OpenAiEmbeddings, CostWhatTheyRead) {
  const auto request = LlmRequest::parse(kEmbeddings, R"({"model":"e","input":["one","two"]})");
  ASSERT_TRUE(request);
  EXPECT_EQ(told(request->new_messages), "user:one\ntwo;");
  EXPECT_FALSE(LlmRequest::parse(kEmbeddings, R"({"model":"e"})"));
  const auto answer = whole(kEmbeddings, R"({"object":"list","data":[{"embedding":[0.1]}],
    "model":"e","usage":{"prompt_tokens":8,"total_tokens":8}})");
  EXPECT_EQ(answer.usage, (Usage{.input = 8}));
}

// --- OpenAI responses

TEST(OpenAiResponses, SayWhatRulesNeed) {
  const auto request = LlmRequest::parse(kResponses, R"({"model":"gpt-x","stream":true,
    "max_output_tokens":5,"instructions":"be brief","input":[
    {"role":"user","content":"old"},{"type":"reasoning","summary":[]},
    {"type":"function_call","call_id":"1","name":"f","arguments":"{}"},
    {"type":"function_call_output","call_id":"1","output":"42"},
    {"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],
    "tools":[{"type":"function","name":"f"},{"type":"local_shell"},
    {"type":"shell","environment":{"type":"local"}},{"type":"shell"},
    {"type":"namespace","name":"n","tools":[{"type":"function","name":"g"}]},
    {"type":"web_search_preview_2025_03_11"},{"type":"computer_use_preview"},
    {"type":"mcp","server_label":"x","server_url":"https://mcp.example.com/sse"},
    {"type":"mcp","server_label":"y","connector_id":"connector_gmail"},
    {"type":"code_interpreter","container":{"type":"auto"}}]})");
  ASSERT_TRUE(request) << request.error().message();
  EXPECT_EQ(told(request->new_messages), "tool:42;user:hi;");
  EXPECT_EQ(request->tools, (Strings{"f", "local_shell", "shell", "g"}));
  EXPECT_EQ(request->provider_tools,
            (Strings{"shell", "web_search_preview", "computer_use_preview", "mcp:mcp.example.com",
                     "mcp:connector_gmail", "code_interpreter"}));
  EXPECT_EQ(request->max_tokens, 5);
  const auto first =
      LlmRequest::parse(kResponses, R"({"model":"m","instructions":"be brief","input":"hi"})");
  EXPECT_EQ(told(first->new_messages), "system:be brief;user:hi;");
}

TEST(OpenAiResponses, ShowToolsHoweverTheyAreBroughtIn) {
  for (
      const char* body :
      {R"({"model":"m","input":[{"type":"additional_tools","tools":[{"type":"mcp"}]}]})",
       R"({"model":"m","input":[{"type":"x","\u0074ools":[{"type":"mcp"}]},{"role":"assistant"}]})",
       R"({"model":"m","prompt":{"id":"p"},"input":"x"})", R"({"prompt":{"id":"p"}})",
       R"({"model":"m","background":true,"input":"x"})"}) {
    const auto request = LlmRequest::parse(kResponses, body);
    ASSERT_TRUE(request) << request.error().message();
    EXPECT_EQ(request->provider_tools.size(), 1U) << body;
  }
}

constexpr std::string_view kResponse = R"({"id":"resp_1","object":"response","status":"completed",
  "model":"gpt-x","output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]},
  {"type":"web_search_call","id":"ws_1","status":"completed"},
  {"type":"message","role":"assistant","content":[{"type":"output_text","text":"hi"}]},
  {"type":"function_call","call_id":"c1","name":"f","arguments":"{\"x\":1}"}],
  "usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},
  "output_tokens":87,"output_tokens_details":{"reasoning_tokens":20},"total_tokens":123}})";
const Usage kResponseUsage{
    .input = 36, .cache_read = 4, .cache_write_5m = 2, .output = 87, .reasoning = 20};

TEST(OpenAiResponses, AreReadWithTheirUsage) {
  const auto answer = whole(kResponses, kResponse);
  EXPECT_EQ(answer.text, "hi");
  EXPECT_EQ(answer.reasoning, "hm");
  ASSERT_EQ(answer.tool_calls.size(), 2U);
  EXPECT_TRUE(answer.tool_calls[0].at_provider);
  EXPECT_EQ(answer.tool_calls[0].name, "web_search");
  EXPECT_EQ(answer.tool_calls[1].arguments, R"({"x":1})");
  EXPECT_FALSE(answer.tool_calls[1].at_provider);
  EXPECT_EQ(answer.usage, kResponseUsage);
  EXPECT_EQ(answer.finish_reason, "completed");
}

TEST(OpenAiResponses, ArePutTogetherFromTheirStream) {
  const std::string last = R"({"type":"response.completed","sequence_number":9,"response":)"
                           + std::string(kResponse) + "}";
  std::string one_line;
  for (const char c : last) {
    if (c != '\n') one_line += c;
  }
  const auto answer = streamed(
      kResponses,
      events(
          {R"({"type":"response.created","response":{"id":"resp_1","status":"in_progress"}})",
           R"({"type":"response.reasoning_summary_text.delta","delta":"h","output_index":0})",
           R"({"type":"response.output_text.delta","delta":"yes","output_index":1})",
           R"({"type":"response.output_item.added","output_index":2,"item":{"type":)"
           R"("function_call","call_id":"c1","name":"f","arguments":""}})",
           R"({"type":"response.function_call_arguments.delta","output_index":2,"delta":"{\"a"})",
           R"({"type":"response.function_call_arguments.delta","output_index":2,"delta":"\":2}"})",
           R"({"type":"response.output_item.done","output_index":2,"item":{"type":)"
           R"("function_call","call_id":"c1","name":"f","arguments":"{\"a\":2}"}})",
           one_line}));
  EXPECT_EQ(answer.text, "yes");
  EXPECT_EQ(answer.reasoning, "h");
  ASSERT_EQ(answer.tool_calls.size(), 1U);
  EXPECT_EQ(answer.tool_calls[0].arguments, R"({"a":2})");
  EXPECT_EQ(answer.tool_calls[0].id, "c1");
  EXPECT_TRUE(answer.is_complete);
  EXPECT_EQ(answer.usage, kResponseUsage);
  EXPECT_EQ(streamed(kResponses, events({one_line})).text, "hi") << "of a server without deltas";
}

// --- Anthropic messages

TEST(AnthropicMessages, SayWhatRulesNeed) {
  const auto request = LlmRequest::parse(kMessages, R"({"model":"claude-x","max_tokens":1024,
    "stream":true,"system":[{"type":"text","text":"be brief"}],"messages":[
    {"role":"user","content":"old"},{"role":"assistant","content":[{"type":"tool_use"}]},
    {"role":"user","content":[{"type":"tool_result","tool_use_id":"t",
    "content":[{"type":"text","text":"42"}]}]}],
    "tools":[{"name":"f","input_schema":{}},{"type":"bash_20250124","name":"bash"},
    {"type":"web_search_20250305","name":"web_search"},
    {"type":"code_execution_20250825","name":"code_execution"},{"type":"brand_new_20990101"},
    {"type":"mcp_toolset","mcp_server_name":"m"}],
    "mcp_servers":[{"type":"url","name":"m","url":"https://mcp.example.com/x"}]})");
  ASSERT_TRUE(request) << request.error().message();
  EXPECT_EQ(told(request->new_messages), "tool:42;");
  EXPECT_EQ(request->tools, (Strings{"f", "bash"}));
  EXPECT_EQ(request->provider_tools,
            (Strings{"mcp:mcp.example.com", "web_search", "code_execution", "brand_new"}));
  EXPECT_EQ(request->max_tokens, 1024);
  const auto added = LlmRequest::parse(kMessages, R"({"model":"m","messages":[{"role":"user",
    "content":[{"type":"tool_addition","tool":{"type":"web_search_20250305"}},
    {"type":"tool\u005faddition","tool":{"type":"mcp_toolset_reference"}}]}]})");
  ASSERT_TRUE(added) << added.error().message();
  EXPECT_EQ(added->provider_tools, (Strings{"web_search", "mcp"}));
}

TEST(AnthropicMessages, AreReadWithTheirUsage) {
  const auto answer = whole(kMessages, R"({"id":"msg_1","type":"message","role":"assistant",
    "model":"claude-x","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"hi"},
    {"type":"tool_use","id":"toolu_1","name":"f","input":{"x":1}}],"stop_reason":"tool_use",
    "usage":{"input_tokens":2095,"cache_creation_input_tokens":2051,"cache_creation":
    {"ephemeral_5m_input_tokens":51,"ephemeral_1h_input_tokens":2000},
    "cache_read_input_tokens":2048,"output_tokens":503,
    "output_tokens_details":{"thinking_tokens":100}}})");
  EXPECT_EQ(answer.text, "hi");
  EXPECT_EQ(answer.reasoning, "hm");
  EXPECT_EQ(answer.tool_calls.at(0).arguments, R"({"x":1})");
  EXPECT_EQ(answer.finish_reason, "tool_use");
  EXPECT_EQ(answer.usage, (Usage{.input = 2095 + 2051 + 2048,
                                 .cache_read = 2048,
                                 .cache_write_5m = 51,
                                 .cache_write_1h = 2000,
                                 .output = 503,
                                 .reasoning = 100}));
  EXPECT_TRUE(whole(kMessages, R"({"input_tokens":14})").is_complete);
}

TEST(AnthropicMessages, ArePutTogetherFromTheirStream) {
  const std::string stream =
      "event: message_start\n"
      R"(data: {"type":"message_start","message":{"id":"msg_1","type":"message",)"
      R"("model":"claude-x",)"
      R"("content":[],"stop_reason":null,"usage":{"input_tokens":25,"cache_read_input_tokens":10,)"
      R"("cache_creation_input_tokens":5,"output_tokens":1}}})"
      "\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n"
      + events(
          {R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})",
           R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta",)"
           R"("text":"Hello"}})",
           R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta",)"
           R"("text":"!"}})",
           R"({"type":"content_block_stop","index":0})",
           R"({"type":"content_block_start","index":1,"content_block":{"type":"tool_use",)"
           R"("id":"toolu_1","name":"get_weather","input":{}}})",
           R"({"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta",)"
           R"("partial_json":"{\"location\":"}})",
           R"({"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta",)"
           R"("partial_json":" \"SF\"}"}})",
           R"({"type":"content_block_stop","index":1})",
           R"({"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},)"
           R"("usage":{"output_tokens":89}})",
           R"({"type":"message_stop"})"});
  const auto answer = streamed(kMessages, stream);
  EXPECT_EQ(answer.text, "Hello!");
  EXPECT_EQ(answer.tool_calls.at(0).arguments, R"({"location": "SF"})");
  EXPECT_EQ(answer.finish_reason, "tool_use");
  EXPECT_TRUE(answer.is_complete);
  EXPECT_EQ(answer.usage,
            (Usage{.input = 40, .cache_read = 10, .cache_write_5m = 5, .output = 89}));
}

// --- Gemini

TEST(Gemini, SaysWhatRulesNeedInEitherSpelling) {
  const auto request = LlmRequest::parse(kGemini, R"({"contents":[
    {"role":"user","parts":[{"text":"old"}]},{"role":"model","parts":[{"text":"so"}]},
    {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"x":1}}}]}],
    "tools":[{"function_declarations":[{"name":"f"}]},{"google_search":{}},
    {"codeExecution":{},"urlContext":{}}],"generation_config":{"max_output_tokens":7}})");
  ASSERT_TRUE(request) << request.error().message();
  EXPECT_EQ(request->model, "gemini-x");
  EXPECT_EQ(told(request->new_messages), R"(tool:{"x":1};)");
  EXPECT_EQ(request->tools, Strings{"f"});
  EXPECT_EQ(request->provider_tools, (Strings{"googleSearch", "codeExecution", "urlContext"}));
  EXPECT_EQ(request->max_tokens, 7);
  EXPECT_FALSE(LlmRequest::parse(kGemini, R"({"contents":[],"cachedContent":"a",
    "cached_content":"b"})"));
  EXPECT_FALSE(LlmRequest::parse(kGemini, "{}"));
  const auto first = LlmRequest::parse(kGemini, R"({"system_instruction":{"parts":[{"text":"be"}]},
    "contents":[{"parts":[{"text":"hi"}]}],"cachedContent":"c"})");
  EXPECT_EQ(told(first->new_messages), "system:be;user:hi;");
  EXPECT_EQ(first->provider_tools, Strings{"cachedContent"});
}

const std::string kGeminiChunks[] = {
    R"({"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"text":"he"}],)"
    R"("role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":8},)"
    R"("modelVersion":"gemini-x-1","responseId":"r1"})",
    R"({"candidates":[{"content":{"parts":[{"text":"y"},{"functionCall":{"name":"f",)"
    R"("args":{"a":1}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":8,)"
    R"("cachedContentTokenCount":3,"candidatesTokenCount":5,"thoughtsTokenCount":4,)"
    R"("toolUsePromptTokenCount":2,"totalTokenCount":19,"promptTokensDetails":)"
    R"([{"modality":"TEXT","tokenCount":6},{"modality":"AUDIO","tokenCount":2}]}})"};

void expect_gemini(const LlmAnswer& answer) {
  EXPECT_EQ(answer.id, "r1");
  EXPECT_EQ(answer.model, "gemini-x-1");
  EXPECT_EQ(answer.text, "hey");
  EXPECT_EQ(answer.reasoning, "hm");
  EXPECT_EQ(answer.tool_calls.at(0).arguments, R"({"a":1})");
  EXPECT_EQ(answer.finish_reason, "STOP");
  EXPECT_TRUE(answer.is_complete);
  EXPECT_EQ(answer.usage,
            (Usage{.input = 10, .cache_read = 3, .input_audio = 2, .output = 9, .reasoning = 4}));
}

TEST(Gemini, IsPutTogetherFromEitherStream) {
  std::string sse;
  for (const std::string& chunk : kGeminiChunks) sse += "data: " + chunk + "\r\n\r\n";
  expect_gemini(streamed(kGeminiStream, sse));
  const std::string array = "[" + kGeminiChunks[0] + "\n,\r\n" + kGeminiChunks[1] + "\n]\n";
  expect_gemini(streamed(kGeminiStream, array, LlmAnswerReader::Form::kJsonArray));
  EXPECT_EQ(LlmAnswerReader::form_of(kGeminiStream, "application/json; charset=UTF-8"),
            LlmAnswerReader::Form::kJsonArray);
}

TEST(Gemini, HasAnArrayReadInBoundsAndByItsGrammar) {
  JsonArrayParser bounded(8);
  EXPECT_TRUE(bounded.feed("[{\"a\":1"));
  EXPECT_EQ(bounded.feed("2}").error(), Error::kTooLarge);
  EXPECT_FALSE(bounded.feed("}"));
  for (const char* text : {"{}", "[1]", "[{}{}]", "[{},]", "[{}]]", "[,{}]", "x"}) {
    JsonArrayParser parser(1024);
    auto progress = parser.feed(text);
    std::string_view rest = text;
    while (progress && progress->event) {
      rest.remove_prefix(progress->consumed);
      progress = parser.feed(rest);
    }
    EXPECT_FALSE(progress) << text;
  }
}

TEST(Gemini, EndsABrokenArrayByAnErrorThatItsReaderUnderstands) {
  const LlmError error{503, "killed", "", "the run was killed"};
  LlmAnswerReader reader(kGeminiStream, LlmAnswerReader::Form::kJsonArray);
  const std::string first(reader.feed("[" + kGeminiChunks[0] + "\n,{\"cand"));
  EXPECT_EQ(first, "[" + kGeminiChunks[0]);
  const auto all = boost::json::parse(first + reader.error_event(error) + "]").as_array();
  EXPECT_EQ(all.at(1).at("error").at("status").as_string(), "UNAVAILABLE");
  LlmAnswerReader empty(kGeminiStream, LlmAnswerReader::Form::kJsonArray);
  EXPECT_EQ(boost::json::parse(empty.error_event(error) + "]").as_array().size(), 1U);
}

// --- Bedrock

TEST(BedrockConverse, SaysWhatRulesNeed) {
  const auto request = LlmRequest::parse(kConverse, R"({"system":[{"text":"be"}],"messages":[
    {"role":"user","content":[{"text":"old"}]},{"role":"assistant","content":[]},
    {"role":"user","content":[{"toolResult":{"toolUseId":"1","content":[{"json":{"x":1}}]}}]}],
    "inferenceConfig":{"maxTokens":512},"toolConfig":{"tools":[{"toolSpec":{"name":"f"}},
    {"systemTool":{"name":"nova_grounding"}},{"cachePoint":{"type":"default"}}]},
    "additionalModelRequestFields":{"tools":[{"type":"web_search_20250305"}]}})");
  ASSERT_TRUE(request) << request.error().message();
  EXPECT_EQ(request->model, "us.claude-x:0");
  EXPECT_EQ(told(request->new_messages), R"(tool:{"x":1};)");
  EXPECT_EQ(request->tools, Strings{"f"});
  EXPECT_EQ(request->provider_tools, (Strings{"nova_grounding", "web_search"}));
  EXPECT_EQ(request->max_tokens, 512);
}

TEST(BedrockConverse, IsReadWithItsUsage) {
  const auto answer = whole(kConverse, R"({"output":{"message":{"role":"assistant","content":[
    {"reasoningContent":{"reasoningText":{"text":"hm"}}},{"text":"hi"},
    {"toolUse":{"toolUseId":"t","name":"f","input":{"a":1}}}]}},"stopReason":"tool_use",
    "usage":{"inputTokens":30,"outputTokens":628,"totalTokens":658,"cacheReadInputTokens":10,
    "cacheWriteInputTokens":7,"cacheDetails":[{"ttl":"1h","inputTokens":5}]},
    "metrics":{"latencyMs":1275}})");
  EXPECT_EQ(answer.text, "hi");
  EXPECT_EQ(answer.reasoning, "hm");
  EXPECT_EQ(answer.tool_calls.at(0).arguments, R"({"a":1})");
  EXPECT_EQ(
      answer.usage,
      (Usage{
          .input = 47, .cache_read = 10, .cache_write_5m = 2, .cache_write_1h = 5, .output = 628}));
}

std::string frame(std::string_view type, std::string_view payload) {
  return event_stream_frame(
      {{":event-type", type}, {":content-type", "application/json"}, {":message-type", "event"}},
      payload);
}

TEST(BedrockConverse, IsPutTogetherFromItsFrames) {
  const std::string stream =
      frame("messageStart", R"({"role":"assistant"})")
      + frame("contentBlockDelta",
              R"({"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm"}}})")
      + frame("contentBlockDelta", R"({"contentBlockIndex":1,"delta":{"text":"he"}})")
      + frame("contentBlockDelta", R"({"contentBlockIndex":1,"delta":{"text":"y"}})")
      + frame("contentBlockStart",
              R"({"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"t","name":"f"}}})")
      + frame("contentBlockDelta",
              R"({"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"a\":1}"}}})")
      + frame("contentBlockStop", R"({"contentBlockIndex":2})")
      + frame("messageStop", R"({"stopReason":"tool_use"})")
      + frame("metadata", R"({"usage":{"inputTokens":5,"outputTokens":6},"metrics":{}})");
  const auto answer = streamed(kConverseStream, stream, LlmAnswerReader::Form::kFrames);
  EXPECT_EQ(answer.text, "hey");
  EXPECT_EQ(answer.reasoning, "hm");
  EXPECT_EQ(answer.tool_calls.at(0).arguments, R"({"a":1})");
  EXPECT_EQ(answer.tool_calls.at(0).id, "t");
  EXPECT_TRUE(answer.is_complete);
  EXPECT_EQ(answer.usage, (Usage{.input = 5, .output = 6}));
  EXPECT_EQ(LlmAnswerReader::form_of(kConverseStream, "application/vnd.amazon.eventstream"),
            LlmAnswerReader::Form::kFrames);
}

TEST(BedrockConverse, EndsABrokenStreamByAnExceptionFrame) {
  LlmAnswerReader reader(kConverseStream, LlmAnswerReader::Form::kFrames);
  const auto told = streamed(kConverseStream, reader.error_event({502, "upstream", "", "it broke"}),
                             LlmAnswerReader::Form::kFrames);
  EXPECT_EQ(told.error, "it broke");
  EXPECT_FALSE(told.is_complete);
}

TEST(LlmAnswer, IsEstimatedWhereNobodySaidWhatItCost) {
  const auto answer = streamed(
      kMessages, events({R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta",)"
                         R"("text":"Hello!"}})"}));
  const Usage usage = answer.usage_or_estimate(100);
  EXPECT_TRUE(usage.is_estimated);
  EXPECT_EQ(usage.input, 50);
  EXPECT_EQ(usage.output, 3);
}

TEST(LlmAnswerReader, KeepsAnEventThatHasNotEndedAndNothingElse) {
  LlmAnswerReader reader(kChat, LlmAnswerReader::Form::kEvents);
  EXPECT_EQ(reader.feed("data: 1\n\ndata: 2"), "data: 1\n\n");
  EXPECT_EQ(reader.feed("\n"), "");
  EXPECT_EQ(reader.feed("\ndata: 3\r\n\r"), "data: 2\n\ndata: 3\r\n\r");
  EXPECT_EQ(reader.feed("\n"), "\n") << "nobody waits for the end of a line end";
  EXPECT_EQ(reader.feed("data: 4"), "");
  EXPECT_EQ(reader.feed("\r\n\r\ndata: 5"), "data: 4\r\n\r\n");
  EXPECT_EQ(reader.finish(), "data: 5");
}

TEST(LlmAnswerReader, RelaysWhatIsTooLargeToRead) {
  LlmAnswerReader reader(kChat, LlmAnswerReader::Form::kEvents);
  const std::string half(9 * 1024 * 1024, 'x');
  EXPECT_EQ(reader.feed("data: "), "");
  EXPECT_EQ(reader.feed(half), "");
  EXPECT_EQ(reader.feed(half), "data: " + half + half);
  EXPECT_FALSE(reader.is_between_events());
  EXPECT_EQ(reader.feed("y\n\n"), "y\n\n");
}

TEST(LlmError, IsInTheCallersDialect) {
  const LlmError error{403, "denied", "default-deny", "no"};
  EXPECT_EQ(
      llm_error_json(Provider::kOpenAi, error),
      R"({"error":{"message":"no","type":"gatehouse_denied","param":null,"code":"default-deny"}})");
  EXPECT_EQ(llm_error_json(Provider::kAnthropic, error),
            R"({"type":"error","error":{"type":"permission_error","message":"no",)"
            R"("gatehouse_error":"denied","rule":"default-deny"}})");
}

TEST(LlmError, EndsAStreamInItsDialect) {
  const LlmError error{503, "killed", "", "the run was killed"};
  EXPECT_EQ(LlmAnswerReader(kChat, LlmAnswerReader::Form::kEvents).error_event(error),
            "data: {\"error\":{\"message\":\"the run was killed\",\"type\":\"gatehouse_killed\","
            "\"param\":null,\"code\":null}}\n\n");
  LlmAnswerReader responses(kResponses, LlmAnswerReader::Form::kEvents);
  (void)responses.feed(events({R"({"type":"response.queued","sequence_number":4})"}));
  EXPECT_EQ(responses.error_event(error),
            "event: error\ndata: {\"type\":\"error\",\"code\":\"gatehouse_killed\",\"message\":"
            "\"the run was killed\",\"param\":null,\"sequence_number\":5}\n\n");
  EXPECT_TRUE(LlmAnswerReader(kMessages, LlmAnswerReader::Form::kEvents)
                  .error_event(error)
                  .starts_with("event: error\ndata: {\"type\":\"error\",\"error\":{"));
}

TEST(LlmKnown, AConversationThatGoesOnSaysWhatIsNew) {
  for (const Talk& talk : kTalks) {
    const std::string before = talk.body({1, -2, 3});
    const std::string body = talk.body({1, -2, 3, 4, 5});
    const KnownJson known = known_by(*talk.endpoint, before, body);
    EXPECT_EQ(known.objects().size(), 3U);
    const auto without = LlmRequest::parse(*talk.endpoint, body);
    const auto with = LlmRequest::parse(*talk.endpoint, body, known);
    ASSERT_TRUE(without && with) << talk.opening;
    EXPECT_EQ(told(without->new_messages),
              "user:" + Talk::text(3) + ";user:" + Talk::text(4) + ";user:" + Talk::text(5) + ";");
    EXPECT_EQ(told(with->new_messages), "user:" + Talk::text(4) + ";user:" + Talk::text(5) + ";");
    EXPECT_TRUE(without->is_new_alone);
    EXPECT_FALSE(with->is_new_alone) << "the third is known, and the model did not say it";
    EXPECT_EQ(with->parts, without->parts);
    EXPECT_EQ(with->parts.size(), 5U);
    EXPECT_EQ(with->model, without->model);
    EXPECT_EQ(with->tools, without->tools);
    EXPECT_EQ(with->provider_tools, without->provider_tools);
  }
}

TEST(LlmKnown, WhatIsNewBehindAnAnswerIsReadFromTheBodyAlone) {
  for (const Talk& talk : kTalks) {
    const std::string body = talk.body({1, -2, 3, -4, 5});
    for (const auto& before : {std::vector{1, -2, 3}, std::vector{1, -2, 3, -4}}) {
      const KnownJson known = known_by(*talk.endpoint, talk.body(before), body);
      const auto with = LlmRequest::parse(*talk.endpoint, body, known);
      const auto without = LlmRequest::parse(*talk.endpoint, body);
      ASSERT_TRUE(with && without) << talk.opening;
      EXPECT_TRUE(with->is_new_alone);
      EXPECT_EQ(told(with->new_messages), told(without->new_messages));
    }
  }
}

TEST(LlmKnown, ARequestThatIsSentAgainSaysWhatItSaid) {
  for (const Talk& talk : kTalks) {
    for (const auto& numbers : {std::vector{1, 2, 3}, std::vector{1, -2, 3}}) {
      const std::string body = talk.body(numbers);
      const auto again =
          LlmRequest::parse(*talk.endpoint, body, known_by(*talk.endpoint, body, body));
      const auto first = LlmRequest::parse(*talk.endpoint, body);
      ASSERT_TRUE(again && first);
      EXPECT_EQ(told(again->new_messages), told(first->new_messages));
      EXPECT_TRUE(again->is_new_alone);
      EXPECT_EQ(again->provider_tools, first->provider_tools);
    }
  }
}

TEST(LlmKnown, WhatIsBehindTheKnownIsJudgedAsEver) {
  const Talk& talk = kTalks[0];
  const std::string before = talk.body({1, 2});
  std::string body = before;
  body.insert(body.find("],"), R"(,{"role":"user","content":"a" "b"})");
  EXPECT_FALSE(LlmRequest::parse(kChat, body, known_by(kChat, before, body)));
}

// A message that brings tools is read each time: what it brings belongs to each request.
TEST(LlmKnown, AMessageThatBringsToolsIsNotKnown) {
  const std::string filler(400, '.');
  const std::string added =
      R"({"model":"m","messages":[{"role":"user","content":[{"type":"text","text":")" + filler
      + R"("},{"type":"tool_addition","tool":{"type":"mcp_toolset"}}]}]})";
  const auto messages = LlmRequest::parse(kMessages, added);
  ASSERT_TRUE(messages) << messages.error().message();
  EXPECT_EQ(messages->provider_tools, Strings{"mcp"});
  ASSERT_EQ(messages->parts.size(), 1U);
  EXPECT_FALSE(messages->parts[0].is_message);
  const std::string brought = R"({"model":"m","input":[{"type":"x","text":")" + filler
                              + R"(","\u0074ools":[{"type":"web_search"}]}]})";
  const auto responses = LlmRequest::parse(kResponses, brought);
  ASSERT_TRUE(responses) << responses.error().message();
  EXPECT_EQ(responses->provider_tools, Strings{"web_search"});
  EXPECT_FALSE(responses->parts[0].is_message);
}

TEST(LlmKnown, LargeMembersArePartsToo) {
  const std::string said(2000, 's');
  const std::string body = R"({"model":"m","system":")" + said
                           + R"(","messages":[{"role":"user",)"
                             R"("content":"hi"}],"max_tokens":5})";
  const auto request = LlmRequest::parse(kMessages, body);
  ASSERT_TRUE(request);
  ASSERT_EQ(request->parts.size(), 1U);
  EXPECT_EQ(body.substr(request->parts[0].at, request->parts[0].size), '"' + said + '"');
  EXPECT_FALSE(request->parts[0].is_message);
}

}  // namespace
}  // namespace gatehouse::wire
