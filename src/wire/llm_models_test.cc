// SPDX-License-Identifier: Apache-2.0
#include "wire/llm_models.h"

#include <gtest/gtest.h>

namespace gatehouse::wire {
namespace {

const LlmEndpoint kOpenAi = llm_endpoint(LlmProvider::kOpenAi, "GET", "/v1/models");
const LlmEndpoint kAnthropic = llm_endpoint(LlmProvider::kAnthropic, "GET", "/v1/models");
const LlmEndpoint kGemini = llm_endpoint(LlmProvider::kGemini, "GET", "/v1beta/models");

TEST(LlmModels, AreAskedForByNameOrAllTogether) {
  const auto asked = [](const LlmEndpoint& endpoint, std::string_view path) {
    const ModelQuery query = model_query(endpoint, path);
    return query.is_list ? "*" : query.name;
  };
  EXPECT_EQ(asked(kOpenAi, "/v1/models"), "*");
  EXPECT_EQ(asked(kOpenAi, "/openai/v1/models/gpt-x"), "gpt-x");
  EXPECT_EQ(asked(kOpenAi, "/v1/models/house/large"), "house/large");
  EXPECT_EQ(asked(kOpenAi, "/v1/models/house%3Alarge"), "house:large");
  EXPECT_EQ(asked(kGemini, "/v1beta/models/house"), "house");
  EXPECT_EQ(asked(kGemini, "/v1beta/models/house:countTokens"), "");
  EXPECT_EQ(asked(kAnthropic, "/v1/models/house"), "house");
}

TEST(LlmModels, StandInTheDialectsListWithAllElseAsItWas) {
  EXPECT_EQ(models_with(kOpenAi, R"({"object":"list", "data":[ {"id":"gpt-x","object":"model"}]})",
                        {"house", "a\"b"}),
            R"({"object":"list", "data":[{"id":"house","object":"model","created":0,"owned_by":)"
            R"("gatehouse"},{"id":"a\"b","object":"model","created":0,"owned_by":"gatehouse"}, )"
            R"({"id":"gpt-x","object":"model"}]})");
  EXPECT_EQ(models_with(kOpenAi, R"({"data":[]})", {"house"}),
            R"({"data":[{"id":"house","object":"model","created":0,"owned_by":"gatehouse"}]})");
  EXPECT_EQ(
      models_with(kAnthropic,
                  R"({"first_id":"claude","data":[{"id":"claude"}],"has_more":true,"last_id":"x"})",
                  {"house"}),
      R"({"first_id":"house","data":[{"type":"model","id":"house","display_name":"house",)"
      R"("created_at":"1970-01-01T00:00:00Z"},{"id":"claude"}],"has_more":true,"last_id":"x"})");
  EXPECT_EQ(models_with(kGemini, R"({"models":[{"name":"models/g"}],"nextPageToken":"t"})",
                        {"house", "g"}),
            R"({"models":[{"name":"models/house","version":"1","displayName":"house",)"
            R"("supportedGenerationMethods":["generateContent","countTokens"]},)"
            R"({"name":"models/g"}],"nextPageToken":"t"})");
}

TEST(LlmModels, AreAddedOnceAndToAListAlone) {
  EXPECT_EQ(models_with(kOpenAi, R"({"data":[{"id":"house"}]})", {"house"}),
            R"({"data":[{"id":"house"}]})");
  for (const char* odd : {"", "[]", "{}", R"({"data":{}})", R"({"data":["x"]})", R"({"models":[]})",
                          R"({"data":[],"data":[]})"}) {
    EXPECT_FALSE(models_with(kOpenAi, odd, {"house"})) << odd;
  }
}

}  // namespace
}  // namespace gatehouse::wire
