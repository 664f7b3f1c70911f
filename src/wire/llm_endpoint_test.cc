// SPDX-License-Identifier: Apache-2.0
#include "wire/llm_endpoint.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "wire/llm.h"

namespace gatehouse::wire {
namespace {

using Provider = LlmProvider;

LlmEndpoint at(Provider provider, std::string_view path) {
  return llm_endpoint(provider, "POST", path);
}

TEST(LlmEndpoint, IsFoundBehindAnyBasePathAndByNoOtherSpelling) {
  using Standing = LlmEndpoint::Standing;
  const auto standing = [](std::string_view method, std::string_view path) {
    return llm_endpoint(Provider::kOpenAi, method, path).standing;
  };
  for (const char* path : {"/v1/chat/completions", "/chat/completions", "/api/v1/responses",
                           "/openai/v1/embeddings", "/v1/%72esponses", "/x/y/completions"}) {
    EXPECT_EQ(standing("POST", path), Standing::kGoverned) << path;
  }
  EXPECT_EQ(standing("GET", "/v1/models"), Standing::kGoverned);
  EXPECT_EQ(standing("GET", "/v1/models/gpt-x"), Standing::kGoverned);
  for (const char* path : {"/v1/images/edits", "/v1/audio/speech", "/v1/moderations"}) {
    EXPECT_EQ(standing("POST", path), Standing::kGoverned) << path;
    EXPECT_EQ(standing("GET", path), Standing::kMisused) << path;
  }
  for (const char* path : {"/v1/files", "/v1/batches", "/v1/batches/b/cancel",
                           "/v1/uploads/u/parts", "/openai/batches"}) {
    EXPECT_EQ(standing("POST", path), Standing::kRelayed) << path;
  }
  EXPECT_EQ(standing("DELETE", "/v1/files/f"), Standing::kRelayed);
  EXPECT_EQ(standing("DELETE", "/v1/batches/b"), Standing::kUnknown);
  EXPECT_EQ(standing("WEBSOCKET", "/v1/files"), Standing::kUnknown);
  for (const char* path : {"/v1/Chat/Completions", "/v1/chat/completions/", "/v1/responses;x=1"}) {
    EXPECT_EQ(standing("POST", path), Standing::kMisused) << path;
  }
  EXPECT_EQ(standing("GET", "/v1/responses"), Standing::kMisused);
  for (const char* path : {"/v1/threads", "/v1/fine_tuning/jobs", "/v1/responses/r1",
                           "/secret/files", "/", "/v1/realtime"}) {
    EXPECT_EQ(standing("POST", path), Standing::kUnknown) << path;
  }
  EXPECT_EQ(at(Provider::kAnthropic, "/v1/messages/count_tokens").operation,
            LlmOperation::kCountTokens);
  EXPECT_EQ(at(Provider::kAnthropic, "/v1/messages/batches").standing, Standing::kRelayed);
  EXPECT_EQ(at(Provider::kAnthropic, "/v1/complete").standing, Standing::kUnknown);
}

TEST(LlmEndpoint, HasANameThatRulesCanNameItBy) {
  const auto name = [](Provider provider, std::string_view method, std::string_view path) {
    const auto endpoint = llm_endpoint(provider, method, path);
    const auto names = llm_operation_names(provider);
    EXPECT_EQ(std::ranges::count(names, endpoint.name), 1) << endpoint.name;
    return endpoint.name;
  };
  EXPECT_EQ(name(Provider::kOpenAi, "GET", "/v1/files/f/content"), "files.content");
  EXPECT_EQ(name(Provider::kOpenAi, "POST", "/v1/audio/translations"), "audio.translation");
  EXPECT_EQ(name(Provider::kAzureOpenAi, "POST", "/openai/deployments/d/images/edits"),
            "images.edit");
  EXPECT_EQ(name(Provider::kAzureOpenAi, "GET", "/openai/batches/b"), "batches.retrieve");
  EXPECT_EQ(name(Provider::kAnthropic, "GET", "/v1/messages/batches/b/results"), "batches.results");
  EXPECT_EQ(name(Provider::kAnthropic, "DELETE", "/v1/files/f"), "files.delete");
  EXPECT_EQ(name(Provider::kGemini, "POST", "/upload/v1beta/files"), "files.create");
  EXPECT_EQ(name(Provider::kGemini, "GET", "/download/v1beta/files/f:download"), "files.content");
  EXPECT_EQ(name(Provider::kGemini, "POST", "/v1beta/models/g:batchGenerateContent"),
            "batches.create");
  EXPECT_EQ(name(Provider::kGemini, "POST", "/v1beta/batches/b:cancel"), "batches.cancel");
  EXPECT_EQ(name(Provider::kGemini, "POST", "/v1beta/models/g:countTokens"), "countTokens");
  EXPECT_EQ(name(Provider::kBedrock, "POST", "/model/m/converse-stream"), "converse-stream");
}

TEST(LlmEndpoint, SaysWhereItsPathMayNameAnotherModelThanTheBody) {
  for (const char* path :
       {"/v1/chat/completions", "/chat/completions", "/api/v1/chat/completions",
        "/proxy/v1/chat/completions", "/openai/deployments/d/chat/completions"}) {
    for (const auto provider : {Provider::kOpenAi, Provider::kAzureOpenAi}) {
      const bool is_deployment = std::string_view(path).contains("deployments");
      EXPECT_EQ(at(provider, path).base_may_name_model,
                is_deployment && provider == Provider::kOpenAi)
          << path;
    }
  }
  for (const char* path :
       {"/openai/Deployments/gpt-4/chat/completions", "/openai/DEPLOYMENTS/x/v1/chat/completions",
        "/v1/engines/gpt-4/completions", "/models/m/v1/chat/completions", "/gpt-4/chat/completions",
        "/openai/engines/a/deployments/b/chat/completions"}) {
    const auto endpoint = at(Provider::kAzureOpenAi, path);
    EXPECT_EQ(endpoint.standing, LlmEndpoint::Standing::kGoverned) << path;
    EXPECT_TRUE(endpoint.base_may_name_model) << path;
  }
}

TEST(LlmEndpoint, OfAzureNamesItsModelInThePath) {
  const auto chat = at(Provider::kAzureOpenAi, "/openai/deployments/my-gpt/chat/completions");
  EXPECT_EQ(chat.standing, LlmEndpoint::Standing::kGoverned);
  EXPECT_EQ(chat.model, "my-gpt");
  EXPECT_EQ(LlmRequest::parse(chat, R"({"messages":[]})")->model, "my-gpt");
  EXPECT_EQ(at(Provider::kAzureOpenAi, "/openai/v1/responses").dialect,
            LlmDialect::kOpenAiResponses);
}

TEST(LlmEndpoint, OfGeminiAndBedrockSaysModelAndStream) {
  const auto gemini = at(Provider::kGemini, "/v1beta/models/gemini-x:generateContent");
  const auto streamed = at(Provider::kGemini, "/v1beta/models/gemini-x:streamGenerateContent");
  const auto converse = at(Provider::kBedrock, "/model/us.claude-x%3A0/converse");
  const auto converse_stream = at(Provider::kBedrock, "/model/us.claude-x%3A0/converse-stream");
  EXPECT_EQ(gemini.model, "gemini-x");
  EXPECT_FALSE(gemini.streams);
  EXPECT_TRUE(streamed.streams);
  EXPECT_EQ(
      at(Provider::kGemini, "/v1/projects/p/locations/l/publishers/google/models/g:countTokens")
          .operation,
      LlmOperation::kCountTokens);
  EXPECT_EQ(at(Provider::kGemini, "/v1beta/models/g%3AgenerateContent").model, "g");
  EXPECT_EQ(at(Provider::kGemini, "/v1beta/models/g:GenerateContent").standing,
            LlmEndpoint::Standing::kMisused);
  EXPECT_EQ(at(Provider::kGemini, "/v1beta/openai/chat/completions").dialect,
            LlmDialect::kOpenAiChat);
  EXPECT_EQ(at(Provider::kGemini, "/v1beta/models/g:predict").standing,
            LlmEndpoint::Standing::kUnknown);
  EXPECT_EQ(converse.model, "us.claude-x:0");
  EXPECT_TRUE(converse_stream.streams);
  EXPECT_EQ(at(Provider::kBedrock, "/model/m/invoke").standing, LlmEndpoint::Standing::kUnknown);
}

}  // namespace
}  // namespace gatehouse::wire
