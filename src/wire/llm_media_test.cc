// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "wire/llm.h"
#include "wire/llm_model.h"

namespace gatehouse::wire {
namespace {

LlmEndpoint at(std::string_view path) { return llm_endpoint(LlmProvider::kOpenAi, "POST", path); }

constexpr std::string_view kForm = "multipart/form-data; boundary=b";

std::string form(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  std::string body;
  for (const auto& [name, value] : fields) {
    body.append("--b\r\nContent-Disposition: form-data; name=\"").append(name).append("\"\r\n\r\n");
    body.append(value).append("\r\n");
  }
  return body + "--b--\r\n";
}

LlmAnswer whole(std::string_view path, std::string_view body) {
  LlmAnswerReader reader(at(path), LlmAnswerReader::Form::kWhole);
  const auto read = reader.read_whole(body);
  EXPECT_TRUE(read) << read.error().message();
  return reader.answer();
}
LlmAnswer streamed(std::string_view path, const std::vector<std::string>& all) {
  std::string stream;
  for (std::string data : all) {
    std::erase(data, '\n');  // which these texts have for their readers here
    stream.append("data: ").append(data).append("\n\n");
  }
  LlmAnswerReader reader(at(path), LlmAnswerReader::Form::kEvents);
  std::string relayed;
  for (const char c : stream) relayed += reader.feed({&c, 1});
  relayed += reader.finish();
  EXPECT_EQ(relayed, stream);
  return reader.answer();
}

TEST(OpenAiMedia, SaysWhatRulesNeedInJsonAndInAForm) {
  const auto image = LlmRequest::parse(at("/v1/images/generations"),
                                       R"({"model":"gpt-image-1","prompt":"a cat","stream":true})");
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ(image->model, "gpt-image-1");
  EXPECT_TRUE(image->stream);
  EXPECT_EQ(image->new_messages.at(0).text, "a cat");
  EXPECT_TRUE(LlmRequest::parse(at("/v1/images/generations"), R"({"prompt":"a cat"})"))
      << "the provider has a model of its own for it";

  const auto speech = LlmRequest::parse(at("/v1/audio/speech"),
                                        R"({"model":"tts-1","input":"Hi!","stream_format":"sse"})");
  ASSERT_TRUE(speech);
  EXPECT_TRUE(speech->stream);
  EXPECT_EQ(speech->new_messages.at(0).text, "Hi!");
  EXPECT_FALSE(LlmRequest::parse(at("/v1/audio/speech"), R"({"input":"Hi!"})"));

  const auto moderation =
      LlmRequest::parse(at("/v1/moderations"),
                        R"({"input":["one",{"type":"text","text":"two"},{"type":"image_url"}]})");
  ASSERT_TRUE(moderation);
  EXPECT_EQ(moderation->new_messages.at(0).text, "one\ntwo");

  const LlmEndpoint heard = at("/v1/audio/transcriptions");
  const auto transcription = LlmRequest::parse_form(
      heard, kForm,
      form({{"file", "RIFF"}, {"model", "whisper-1"}, {"stream", "true"}, {"prompt", "names"}}));
  ASSERT_TRUE(transcription) << transcription.error().message();
  EXPECT_EQ(transcription->model, "whisper-1");
  EXPECT_TRUE(transcription->stream);
  EXPECT_EQ(transcription->new_messages.at(0).text, "names");
  EXPECT_FALSE(LlmRequest::parse_form(heard, kForm, form({{"file", "RIFF"}})));
  EXPECT_FALSE(LlmRequest::parse_form(heard, kForm, form({{"model", "whisper 1"}})));
  EXPECT_FALSE(LlmRequest::parse_form(at("/v1/audio/speech"), kForm, form({{"model", "tts-1"}})))
      << "what takes JSON alone";
  const auto azure = llm_endpoint(LlmProvider::kAzureOpenAi, "POST",
                                  "/openai/deployments/ears/audio/transcriptions");
  EXPECT_EQ(LlmRequest::parse_form(azure, kForm, form({{"file", "RIFF"}}))->model, "ears");
}

TEST(LlmRequest, SaysWhichModelsARouterMayAskInThePlaceOfTheFirst) {
  const auto others = [](std::string_view path, std::string_view member) {
    const auto request = LlmRequest::parse(
        at(path), R"({"model":"a","messages":[],"input":"x",)" + std::string(member) + "}");
    return request ? request->other_models : std::vector<std::string>{"?"};
  };
  for (const char* path :
       {"/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/images/generations"}) {
    EXPECT_EQ(others(path, R"("models":["b","c"],"fallbacks":[{"model":"d"},"e"])"),
              (std::vector<std::string>{"b", "c", "d", "e"}))
        << path;
    EXPECT_EQ(others(path, R"("models":null)"), std::vector<std::string>{}) << path;
    for (const char* odd : {R"("models":"b")", R"("models":[1])", R"("fallbacks":[{}])"}) {
      EXPECT_EQ(others(path, odd), std::vector<std::string>{"?"}) << path << odd;
    }
  }
}

// https://platform.openai.com/docs/api-reference/images/create
TEST(OpenAiMedia, IsReadWithItsUsage) {
  const auto image = whole("/v1/images/generations", R"({"created":1713833628,"data":[{
    "b64_json":"..."}],"usage":{"total_tokens":100,"input_tokens":50,"output_tokens":50,
    "input_tokens_details":{"text_tokens":10,"image_tokens":40}}})");
  EXPECT_EQ(image.usage, (Usage{.input = 50, .output = 50}));
  const auto heard = whole("/v1/audio/transcriptions", R"({"text":"Imagine","usage":{
    "type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":0,"audio_tokens":14},
    "output_tokens":45,"total_tokens":59}})");
  EXPECT_EQ(heard.text, "Imagine");
  EXPECT_EQ(heard.usage, (Usage{.input = 14, .input_audio = 14, .output = 45}));
  const auto timed = whole("/v1/audio/transcriptions",
                           R"({"text":"Imagine","usage":{"type":"duration","seconds":8.01}})");
  EXPECT_FALSE(timed.usage);
  EXPECT_EQ(timed.audio_seconds, 9);
  for (const char* odd : {"-1", "1e300", "\"8\"", "null"}) {
    EXPECT_EQ(whole("/v1/audio/transcriptions",
                    R"({"usage":{"type":"duration","seconds":)" + std::string(odd) + "}}")
                  .audio_seconds,
              0)
        << odd;
  }
}

TEST(OpenAiMedia, IsPutTogetherFromItsStream) {
  const auto image =
      streamed("/v1/images/edits", {R"({"type":"image_edit.partial_image","b64_json":"..."})",
                                    R"({"type":"image_edit.completed","b64_json":"...",
           "usage":{"input_tokens":3,"output_tokens":4}})"});
  EXPECT_TRUE(image.is_complete);
  EXPECT_EQ(image.usage, (Usage{.input = 3, .output = 4}));
  const auto heard =
      streamed("/v1/audio/transcriptions",
               {R"({"type":"transcript.text.delta","delta":"I see "})",
                R"({"type":"transcript.text.delta","delta":"skies"})",
                R"({"type":"transcript.text.done","text":"I see skies","usage":{"input_tokens":14,
           "input_token_details":{"audio_tokens":14},"output_tokens":5}})"});
  EXPECT_EQ(heard.text, "I see skies");
  EXPECT_EQ(heard.usage, (Usage{.input = 14, .input_audio = 14, .output = 5}));
  const auto spoken =
      streamed("/v1/audio/speech",
               {R"({"type":"speech.audio.delta","audio":"..."})",
                R"({"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":101}})"});
  EXPECT_EQ(spoken.usage, (Usage{.input = 14, .output = 101}));
  const auto broken = streamed("/v1/images/generations", {R"({"error":{"message":"no"}})"});
  EXPECT_EQ(broken.error, "no");
  EXPECT_FALSE(broken.is_complete);
}

TEST(OpenAiMedia, IsMadeIntoARequestForAnotherModel) {
  const LlmEndpoint heard = at("/v1/audio/transcriptions");
  const std::string body = form({{"file", "RIFF"}, {"model", "house"}, {"language", "en"}});
  EXPECT_EQ(form_for_model(heard, kForm, body, "whisper-1"),
            form({{"file", "RIFF"}, {"model", "whisper-1"}, {"language", "en"}}));
  EXPECT_EQ(form_for_model(heard, kForm, form({{"file", "RIFF"}}), "whisper-1").error(),
            Error::kUnsupported);
  EXPECT_EQ(path_for_model(heard, "/v1/audio/transcriptions", "whisper-1", "/openai/v1"),
            "/openai/v1/audio/transcriptions");
}

}  // namespace
}  // namespace gatehouse::wire
