// SPDX-License-Identifier: Apache-2.0
// Which of a provider's endpoints a request is for, and what becomes of it: read and ruled on,
// relayed as it is, or known to nobody here. docs/providers.md is the table for people.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gatehouse::wire {

enum class LlmProvider : std::uint8_t { kOpenAi, kAzureOpenAi, kAnthropic, kGemini, kBedrock };
inline constexpr std::array kLlmProviders = {LlmProvider::kOpenAi, LlmProvider::kAzureOpenAi,
                                             LlmProvider::kAnthropic, LlmProvider::kGemini,
                                             LlmProvider::kBedrock};

// What bodies and streams look like.
enum class LlmDialect : std::uint8_t {
  kOpenAiChat,
  kOpenAiResponses,
  kOpenAiOther,  // legacy completions, embeddings
  kAnthropic,
  kGemini,
  kBedrock,
  kOpenAiMedia,  // images, audio, moderations: JSON or a form (form.h)
};

enum class LlmOperation : std::uint8_t {
  kChat,
  kCompletion,
  kEmbeddings,
  kCountTokens,
  kModels,
  kImages,
  kSpeech,
  kTranscription,
  kModeration,
};
inline constexpr std::size_t kLlmOperations = 9;

// As OpenTelemetry's GenAI conventions call them: gen_ai.operation.name and gen_ai.provider.name.
// Those that the conventions do not have are called as providers do.
[[nodiscard]] std::string_view name_of(LlmOperation operation);
[[nodiscard]] std::string_view name_of(LlmProvider provider);

struct LlmEndpoint {
  enum class Standing : std::uint8_t {
    kUnknown,   // refused, unless a rule names its path
    kRelayed,   // passes unread, where a rule names its operation or its path
    kGoverned,  // read and ruled on
    kMisused,   // a governed one's path with a method that it does not have: refused
  };
  Standing standing = Standing::kUnknown;
  LlmDialect dialect = LlmDialect::kOpenAiOther;
  LlmOperation operation = LlmOperation::kChat;
  // As rules' `operations` name it: "chat", "images.edit", "files.create", ...
  std::string_view name = "unknown";
  std::string model;     // where the path says it
  bool streams = false;  // the path says so
  // What stands before the endpoint in the path may name a model to the server, whatever the body
  // says: it is no version, or has a word like "engines".
  bool base_may_name_model = false;

  // What comes before the name's dot: "files" of "files.create".
  [[nodiscard]] std::string_view family() const { return name.substr(0, name.find('.')); }
  // Whether the provider has no model of its own for a request that names none.
  [[nodiscard]] bool needs_model() const {
    return operation != LlmOperation::kImages && operation != LlmOperation::kModeration;
  }
  // Whether a body may be a form, with files, instead of JSON.
  [[nodiscard]] bool takes_forms() const {
    return operation == LlmOperation::kImages || operation == LlmOperation::kTranscription;
  }
  // Whether a body is to be read whole and understood.
  [[nodiscard]] bool has_meaning_in_body() const {
    return standing == Standing::kGoverned && operation != LlmOperation::kModels;
  }
};

// `path` is canonical (path.h): what is looked at is what is sent. OpenAI's endpoints are found
// behind any base path, as servers that speak like it have many.
[[nodiscard]] LlmEndpoint llm_endpoint(LlmProvider provider, std::string_view method,
                                       std::string_view path);

// The names of all that is governed or relayed there, each once.
[[nodiscard]] std::vector<std::string_view> llm_operation_names(LlmProvider provider);

}  // namespace gatehouse::wire
