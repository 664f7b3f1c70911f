// SPDX-License-Identifier: Apache-2.0
// Which of a provider's endpoints a request is for, and what becomes of it: read and ruled on,
// relayed as it is, or known to nobody here. docs/providers.md is the table for people.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

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
};

enum class LlmOperation : std::uint8_t { kChat, kCompletion, kEmbeddings, kCountTokens, kModels };

// As OpenTelemetry's GenAI conventions call them: gen_ai.operation.name and gen_ai.provider.name.
// Those that the conventions do not have are called as providers do.
[[nodiscard]] std::string_view name_of(LlmOperation operation);
[[nodiscard]] std::string_view name_of(LlmProvider provider);

struct LlmEndpoint {
  enum class Standing : std::uint8_t {
    kUnknown,   // refused, unless a rule names its path
    kRelayed,   // passes unread, where a rule's paths lead
    kGoverned,  // read and ruled on
    kMisused,   // a governed one's path with a method that it does not have: refused
  };
  Standing standing = Standing::kUnknown;
  LlmDialect dialect = LlmDialect::kOpenAiOther;
  LlmOperation operation = LlmOperation::kChat;
  std::string_view name = "unknown";  // "chat", "messages", "images", ...
  std::string model;                  // where the path says it
  bool streams = false;               // the path says so

  // Whether a body is to be read whole and understood.
  [[nodiscard]] bool has_meaning_in_body() const {
    return standing == Standing::kGoverned && operation != LlmOperation::kModels;
  }
};

// `path` is canonical (path.h): what is looked at is what is sent. OpenAI's endpoints are found
// behind any base path, as servers that speak like it have many.
[[nodiscard]] LlmEndpoint llm_endpoint(LlmProvider provider, std::string_view method,
                                       std::string_view path);

}  // namespace gatehouse::wire
