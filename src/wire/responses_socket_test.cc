// SPDX-License-Identifier: Apache-2.0
#include "wire/responses_socket.h"

#include <gtest/gtest.h>

namespace gatehouse::wire {
namespace {

using Kind = ResponsesClientEvent::Kind;

TEST(ResponsesSocket, ReadsACreateAsPostWould) {
  const auto event = parse_responses_client_event(
      R"({"type":"response.create","model":"gpt-5.2","store":false,"stream_id":"main",)"
      R"("previous_response_id":"resp_1","generate":false,"max_output_tokens":9,)"
      R"("input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],)"
      R"("tools":[{"type":"function","name":"weather"},{"type":"web_search"}]})");
  ASSERT_TRUE(event) << event.error().message();
  EXPECT_EQ(event->kind, Kind::kCreate);
  EXPECT_EQ(event->stream_id, "main");
  EXPECT_EQ(event->request.model, "gpt-5.2");
  EXPECT_TRUE(event->request.stream);
  EXPECT_EQ(event->request.max_tokens, 9);
  EXPECT_EQ(event->request.tools, std::vector<std::string>{"weather"});
  EXPECT_EQ(event->request.provider_tools, std::vector<std::string>{"web_search"});
  ASSERT_EQ(event->request.new_messages.size(), 1u);
  EXPECT_EQ(event->request.new_messages[0].text, "hi");
}

TEST(ResponsesSocket, ReadsASteerAndLetsItBringNoTools) {
  const auto steer = parse_responses_client_event(
      R"({"type":"response.steer","previous_response_id":"resp_1","input":"shorter, please"})");
  ASSERT_TRUE(steer) << steer.error().message();
  EXPECT_EQ(steer->kind, Kind::kSteer);
  EXPECT_EQ(steer->request.new_messages.at(0).text, "shorter, please");
  for (
      const std::string_view more :
      {R"("tools":[{"type":"web_search"}],"input":"x")",
       R"("input":[{"role":"user","content":"x","tools":[{"type":"mcp","server_url":"https://a.b"}]}])"}) {
    const auto bad =
        parse_responses_client_event(R"({"type":"response.steer",)" + std::string(more) + "}");
    ASSERT_FALSE(bad) << more;
    EXPECT_EQ(bad.error(), Error::kInvalid);
  }
}

TEST(ResponsesSocket, RefusesWhatItDoesNotKnow) {
  const auto code = [](std::string_view text) {
    const auto event = parse_responses_client_event(text);
    return event ? std::string("read") : std::string(row_of(event.error().code()).label);
  };
  EXPECT_EQ(code(R"({"type":"response.processed","response_id":"r"})"), "read");
  EXPECT_EQ(code(R"({"type":"session.update","session":{}})"), "unsupported");
  EXPECT_EQ(code(R"({"model":"m","input":"no type"})"), "unsupported");
  EXPECT_EQ(code("hello"), "invalid_request");
  EXPECT_EQ(code(R"([{"type":"response.create","model":"m"}])"), "invalid_request");
  EXPECT_EQ(code(R"({"type":"response.create","input":"no model"})"), "invalid_request");
  EXPECT_EQ(code(R"({"type":"response.create","model":"a","model":"b"})"), "invalid_request");
  EXPECT_EQ(code(R"({"type":"response.processed","type":"response.create","model":"b"})"),
            "invalid_request");
  // A request in the place where another protocol of the same provider has it.
  EXPECT_EQ(code(R"({"type":"response.create","model":"m","response":{"tools":[]}})"),
            "invalid_request");
  EXPECT_EQ(code(R"({"type":"response.create","model":"m","stream_id":7})"), "invalid_request");
  EXPECT_EQ(code(R"({"type":"response.create","model":"m","stream_id":")" + std::string(257, 'x')
                 + "\"}"),
            "invalid_request");
}

TEST(ResponsesSocket, TellsWhatAServersEventIs) {
  const auto kind = [](std::string_view text) { return parse_responses_server_event(text)->kind; };
  using Is = ResponsesServerEvent::Kind;
  EXPECT_EQ(kind(R"({"type":"response.created","response":{}})"), Is::kBegins);
  EXPECT_EQ(kind(R"({"type":"response.output_text.delta","delta":"x"})"), Is::kOther);
  for (const std::string_view end : {"completed", "incomplete", "failed"}) {
    EXPECT_EQ(kind(R"({"type":"response.)" + std::string(end) + "\"}"), Is::kEnds);
  }
  EXPECT_EQ(kind(R"({"type":"error","error":{}})"), Is::kError);
  EXPECT_EQ(parse_responses_server_event(R"({"type":"error","stream_id":"a"})")->stream_id, "a");
  EXPECT_FALSE(parse_responses_server_event("[]"));
}

TEST(ResponsesSocket, AnswersWhereItsClientsLook) {
  EXPECT_EQ(responses_error_event({403, "denied", "default-deny", "no \"rule\""}, "main"),
            R"({"type":"error","status":403,"stream_id":"main","code":"default-deny",)"
            R"("message":"no \"rule\"","param":null,"error":{"type":"gatehouse_denied",)"
            R"("code":"default-deny","message":"no \"rule\"","param":null}})");
  EXPECT_TRUE(
      responses_error_event({400, "invalid_request", "", "bad"}, "")
          .starts_with(R"({"type":"error","status":400,"code":"gatehouse_invalid_request",)"));
}

TEST(ResponsesSocket, ItsEventsAreReadOneByOne) {
  LlmEndpoint endpoint;
  endpoint.dialect = LlmDialect::kOpenAiResponses;
  LlmAnswerReader reader(endpoint, LlmAnswerReader::Form::kMessages);
  for (const std::string_view event :
       {R"({"type":"response.created","response":{"id":"resp_1","model":"m",)"
        R"("status":"in_progress"}})",
        R"({"type":"response.output_text.delta","output_index":0,"delta":"Hel"})",
        R"({"type":"response.output_text.delta","output_index":0,"delta":"lo"})",
        R"({"type":"response.completed","response":{"id":"resp_1","status":"completed",)"
        R"("usage":{"input_tokens":11,"output_tokens":3,"total_tokens":14}}})"}) {
    EXPECT_EQ(reader.feed(event), event);
  }
  EXPECT_EQ(reader.answer().text, "Hello");
  EXPECT_TRUE(reader.answer().is_complete);
  ASSERT_TRUE(reader.answer().usage);
  EXPECT_EQ(reader.answer().usage->output, 3);
}

}  // namespace
}  // namespace gatehouse::wire
