// SPDX-License-Identifier: Apache-2.0
#include "wire/a2a_answer.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace gatehouse::wire {
namespace {

using Binding = A2aEndpoint::Binding;

A2aAnswer whole(std::string_view body, Binding binding = Binding::kJsonRpc) {
  A2aAnswerReader reader(binding);
  reader.read_whole(body);
  return reader.answer();
}

TEST(A2aAnswer, ReadsATaskOfBothVersions) {
  const A2aAnswer old =
      whole(R"({"jsonrpc":"2.0","id":1,"result":{"id":"t-1","contextId":"c-1","kind":"task",)"
            R"("status":{"state":"input-required",)"
            R"("message":{"parts":[{"kind":"text","text":"which?"}]}},)"
            R"("artifacts":[{"artifactId":"a","parts":[{"kind":"text","text":"a joke"}]}],)"
            R"("history":[{"role":"user","parts":[{"kind":"text","text":"tell"}]}]}})");
  EXPECT_EQ(old.task, "t-1");
  EXPECT_EQ(old.context, "c-1");
  EXPECT_EQ(old.state, "input-required");
  EXPECT_EQ(old.text, "which?\na joke") << "the history is what was said before";

  const A2aAnswer now =
      whole(R"({"jsonrpc":"2.0","id":1,"result":{"task":{"id":"t-2","contextId":"c-2",)"
            R"("status":{"state":"TASK_STATE_INPUT_REQUIRED"},)"
            R"("artifacts":[{"artifactId":"a","parts":[{"text":"sunny"},{"data":{}}]}]}}})");
  EXPECT_EQ(now.task, "t-2");
  EXPECT_EQ(now.state, "input-required");
  EXPECT_EQ(now.text, "sunny");
}

TEST(A2aAnswer, ReadsAMessageOfBothVersionsAndBindings) {
  for (const char* body :
       {R"({"jsonrpc":"2.0","id":1,"result":{"kind":"message","messageId":"m","contextId":"c",)"
        R"("parts":[{"kind":"text","text":"hello"}],"role":"agent"}})",
        R"({"jsonrpc":"2.0","id":1,"result":{"message":{"messageId":"m","contextId":"c",)"
        R"("parts":[{"text":"hello"}],"role":"ROLE_AGENT"}}})"}) {
    EXPECT_EQ(whole(body).text, "hello");
    EXPECT_EQ(whole(body).context, "c");
    EXPECT_EQ(whole(body).task, "");
  }
  EXPECT_EQ(
      whole(R"({"message":{"messageId":"m","content":[{"text":"hello"}]}})", Binding::kHttpJson)
          .text,
      "hello");
}

TEST(A2aAnswer, ReadsAnError) {
  const char* rpc = R"({"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"no such task"}})";
  EXPECT_EQ(whole(rpc).error, "no such task");
  EXPECT_EQ(whole(R"({"error":{"code":404,"status":"NOT_FOUND","message":"no such task"}})",
                  Binding::kHttpJson)
                .error,
            "no such task");
  EXPECT_EQ(whole("not JSON").error, "");
}

constexpr std::string_view kStream03 =
    "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"kind\":\"task\",\"id\":\"t\",\"contextId\":"
    "\"c\",\"status\":{\"state\":\"submitted\"}}}\n\n"
    ": keep-alive\n\n"
    "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"kind\":\"artifact-update\",\"taskId\":\"t\","
    "\"artifact\":{\"artifactId\":\"a\",\"parts\":[{\"kind\":\"text\",\"text\":\"once "
    "\"}]}}}\r\n\r\n"
    "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"kind\":\"artifact-update\",\"taskId\":\"t\","
    "\"append\":true,\"artifact\":{\"artifactId\":\"a\",\"parts\":[{\"kind\":\"text\",\"text\":"
    "\"upon\"}]}}}\n\n"
    "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"kind\":\"status-update\",\"taskId\":\"t\","
    "\"final\":true,\"status\":{\"state\":\"completed\"}}}\n\n";
constexpr std::string_view kStream10 =
    "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"task\":{\"id\":\"t\",\"contextId\":\"c\","
    "\"status\":{\"state\":\"TASK_STATE_SUBMITTED\"}}}}\n\n"
    "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"artifactUpdate\":{\"taskId\":\"t\","
    "\"artifact\":{\"artifactId\":\"a\",\"parts\":[{\"text\":\"once \"}]}}}}\n\n"
    "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"artifactUpdate\":{\"taskId\":\"t\","
    "\"append\":true,\"artifact\":{\"artifactId\":\"a\",\"parts\":[{\"text\":\"upon\"}]}}}}\n\n"
    "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"statusUpdate\":{\"taskId\":\"t\","
    "\"status\":{\"state\":\"TASK_STATE_COMPLETED\"}}}}\n\n";

TEST(A2aStream, IsTheSameInAnyPieces) {
  for (const std::string_view stream : {kStream03, kStream10}) {
    for (std::size_t size = 1; size <= stream.size(); size += size < 8 ? 1 : 37) {
      A2aAnswerReader reader(Binding::kJsonRpc);
      std::string given;
      for (std::size_t at = 0; at < stream.size(); at += size) {
        given += reader.feed(stream.substr(at, size));
      }
      given += reader.finish();
      EXPECT_EQ(given, stream) << size;
      EXPECT_EQ(reader.answer().text, "once upon") << size;
      EXPECT_EQ(reader.answer().task, "t");
      EXPECT_EQ(reader.answer().context, "c");
      EXPECT_EQ(reader.answer().state, "completed");
    }
  }
}

TEST(A2aStream, IsGivenOnInWholeEvents) {
  A2aAnswerReader reader(Binding::kJsonRpc);
  EXPECT_EQ(reader.feed("data: {}\n\ndata: {\"half"), "data: {}\n\n");
  EXPECT_TRUE(reader.is_between_events());
  EXPECT_EQ(reader.error_event("7", {Error(Error::kKilled, "the run was killed"), ""}),
            "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-32000,\"message\":\"the run "
            "was killed\",\"data\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\","
            "\"reason\":\"killed\",\"domain\":\"gatehouse\",\"metadata\":{\"rule\":\"\"}}]}}\n\n");
  EXPECT_EQ(reader.finish(), "data: {\"half");
  const A2aAnswerReader other(Binding::kHttpJson);
  EXPECT_TRUE(other.error_event("", {Error(Error::kKilled, "x"), ""})
                  .starts_with("event: error\ndata: {\"error\":{\"code\":403,"));
}

TEST(A2aStream, RelaysAnEventThatIsTooLargeToRead) {
  A2aAnswerReader reader(Binding::kJsonRpc);
  const std::string stream = "data: " + std::string(17 * 1024 * 1024, 'x') + "\n\ndata: {}\n\n";
  std::string given;
  for (std::size_t at = 0; at < stream.size(); at += 1 << 20) {
    given += reader.feed(std::string_view(stream).substr(at, 1 << 20));
  }
  given += reader.finish();
  EXPECT_EQ(given, stream);
  EXPECT_FALSE(reader.is_between_events());
}

TEST(A2aAnswer, KeepsABoundedText) {
  A2aAnswerReader reader(Binding::kHttpJson);
  const std::string part(100'000, 'x');
  for (int i = 0; i < 4; ++i) {
    reader.read_whole("{\"message\":{\"parts\":[{\"text\":\"" + part + "\"}]}}");
  }
  EXPECT_EQ(reader.answer().text.size(), 256U * 1024);
}

}  // namespace
}  // namespace gatehouse::wire
