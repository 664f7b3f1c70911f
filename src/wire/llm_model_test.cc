// SPDX-License-Identifier: Apache-2.0
#include "wire/llm_model.h"

#include <gtest/gtest.h>

namespace gatehouse::wire {
namespace {

std::string body_with(LlmProvider provider, std::string_view path, std::string_view body,
                      std::string_view model, bool asks_usage = false) {
  const LlmEndpoint endpoint = llm_endpoint(provider, "POST", path);
  const auto request = LlmRequest::parse(endpoint, body);
  if (!request) return request.error().message();
  const auto made = body_for_model(endpoint, *request, body, model, asks_usage);
  return made ? *made : "refused: " + made.error().message();
}
std::string path_with(LlmProvider provider, std::string_view path, std::string_view model,
                      std::string_view prefix = "") {
  const auto made = path_for_model(llm_endpoint(provider, "POST", path), path, model, prefix);
  return made ? *made : "refused: " + made.error().message();
}

constexpr std::string_view kChat = "/v1/chat/completions";

TEST(AnotherModel, IsSplicedIntoTheBodyAndNothingElseChanges) {
  EXPECT_EQ(body_with(LlmProvider::kOpenAi, kChat,
                      "{ \"messages\" : [] ,\n \"model\":  \"a\\u006cias\", \"x\":1e3 }", "gpt-5"),
            "{ \"messages\" : [] ,\n \"model\":  \"gpt-5\", \"x\":1e3 }");
  EXPECT_EQ(
      body_with(LlmProvider::kAnthropic, "/v1/messages",
                R"({"model":"m","max_tokens":1,"messages":[{"role":"user","content":"m"}]})",
                "claude \"x\""),
      R"({"model":"claude \"x\"","max_tokens":1,"messages":[{"role":"user","content":"m"}]})");
}

TEST(AnotherModel, GoesWithTheAskingForUsageWhereverTheTwoStand) {
  const auto both = [](std::string_view body) {
    return body_with(LlmProvider::kOpenAi, kChat, body, "longer-name", true);
  };
  const std::string asking = R"("stream_options":{"include_usage":true})";
  EXPECT_EQ(both(R"({"model":"m","messages":[],"stream":true})"),
            "{" + asking + R"(,"model":"longer-name","messages":[],"stream":true})");
  EXPECT_EQ(both(R"({"stream_options":{"include_usage":false},"stream":true,"messages":[],)"
                 R"("model":"m"})"),
            "{" + asking + R"(,"stream":true,"messages":[],"model":"longer-name"})");
  EXPECT_EQ(both(R"({"model":"m","stream":true,"messages":[],"stream_options":null})"),
            R"({"model":"longer-name","stream":true,"messages":[],)" + asking + "}");
}

TEST(AnotherModel, OfAPathStandsInItsPlace) {
  EXPECT_EQ(path_with(LlmProvider::kGemini, "/v1beta/models/alias:streamGenerateContent", "g-3"),
            "/v1beta/models/g-3:streamGenerateContent");
  EXPECT_EQ(path_with(LlmProvider::kBedrock, "/model/alias/converse-stream", "anthropic.c-v1:0"),
            "/model/anthropic.c-v1%3A0/converse-stream");
  EXPECT_EQ(path_with(LlmProvider::kAzureOpenAi, "/openai/deployments/a/chat/completions", "eu"),
            "/openai/deployments/eu/chat/completions");
  EXPECT_EQ(path_with(LlmProvider::kOpenAi, kChat, "any/thing"), kChat);
  for (const char* never : {"a/b", "a/../b"}) {
    EXPECT_TRUE(path_with(LlmProvider::kBedrock, "/model/alias/converse", never)
                    .starts_with("refused: a path cannot say"));
  }
  EXPECT_EQ(path_with(LlmProvider::kBedrock, "/model/alias/converse", "a?b#c%d"),
            "refused: path 'a%3Fb%23c%25d' has an escape that servers read differently");
}

TEST(AnotherModel, OfABodyThatIsInItsPathIsAddedNowhere) {
  constexpr std::string_view kPath = "/v1beta/models/alias:generateContent";
  constexpr std::string_view kBody = R"({"contents":[]})";
  EXPECT_EQ(body_with(LlmProvider::kGemini, kPath, kBody, "g"), kBody);
  EXPECT_EQ(
      body_with(LlmProvider::kGemini, kPath, R"({"model":"models/alias","contents":[]})", "g"),
      R"({"model":"models/g","contents":[]})");
  EXPECT_EQ(body_with(LlmProvider::kGemini, "/v1beta/models/alias:countTokens",
                      R"({"generateContentRequest":{"model":"models/alias","contents":[]}})", "g"),
            "refused: a request that says its model in several places is not sent to another");
}

TEST(AnotherModel, AtAnotherPlaceStandsBehindItsPrefix) {
  EXPECT_EQ(path_with(LlmProvider::kOpenAi, "/v1/chat/completions", "m", "/api/v1"),
            "/api/v1/chat/completions");
  EXPECT_EQ(path_with(LlmProvider::kOpenAi, "/v1/responses/compact", "m", "/openai/v1"),
            "/openai/v1/responses/compact");
  EXPECT_EQ(path_with(LlmProvider::kAzureOpenAi, "/openai/deployments/a/embeddings", "m", "/v1"),
            "/v1/embeddings");
  EXPECT_TRUE(path_with(LlmProvider::kAnthropic, "/v1/messages", "m", "/x").starts_with("refused"));
}

}  // namespace
}  // namespace gatehouse::wire
