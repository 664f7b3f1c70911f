// SPDX-License-Identifier: Apache-2.0
#include "wire/llm_endpoint.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <vector>

#include "wire/characters.h"
#include "wire/path.h"
#include "wire/websocket.h"

namespace gatehouse::wire {
namespace {

using Standing = LlmEndpoint::Standing;
using Segments = std::span<const std::string>;

// One endpoint of a provider, below its base path. In `path`, `*` is one segment, and `**` as the
// last one any rest, also none.
struct Row {
  std::string_view method;  // "" for any
  std::string_view path;
  Standing standing;
  LlmDialect dialect;
  LlmOperation operation;
  std::string_view name;
};

constexpr auto kGoverned = Standing::kGoverned;
constexpr auto kRelayed = Standing::kRelayed;
constexpr auto kOther = LlmDialect::kOpenAiOther;
constexpr auto kChat = LlmOperation::kChat;

constexpr std::array kOpenAiRows = {
    Row{"POST", "chat/completions", kGoverned, LlmDialect::kOpenAiChat, kChat, "chat"},
    Row{"POST", "responses", kGoverned, LlmDialect::kOpenAiResponses, kChat, "responses"},
    Row{kWebSocketMethod, "responses", kGoverned, LlmDialect::kOpenAiResponses, kChat, "responses"},
    Row{"POST", "responses/compact", kGoverned, LlmDialect::kOpenAiResponses, kChat, "responses"},
    Row{"POST", "responses/input_tokens", kGoverned, LlmDialect::kOpenAiResponses,
        LlmOperation::kCountTokens, "count_tokens"},
    Row{"POST", "completions", kGoverned, kOther, LlmOperation::kCompletion, "completions"},
    Row{"POST", "embeddings", kGoverned, kOther, LlmOperation::kEmbeddings, "embeddings"},
    Row{"GET", "models/**", kGoverned, kOther, LlmOperation::kModels, "models"},
    Row{"", "images/**", kRelayed, kOther, kChat, "images"},
    Row{"", "audio/**", kRelayed, kOther, kChat, "audio"},
    Row{"", "moderations", kRelayed, kOther, kChat, "moderations"},
    Row{"", "files/**", kRelayed, kOther, kChat, "files"},
    Row{"", "uploads/**", kRelayed, kOther, kChat, "uploads"},
    Row{"", "batches/**", kRelayed, kOther, kChat, "batches"},
};

constexpr auto kMessages = LlmDialect::kAnthropic;
constexpr std::array kAnthropicRows = {
    Row{"POST", "v1/messages", kGoverned, kMessages, kChat, "messages"},
    Row{"POST", "v1/messages/count_tokens", kGoverned, kMessages, LlmOperation::kCountTokens,
        "count_tokens"},
    Row{"GET", "v1/models/**", kGoverned, kMessages, LlmOperation::kModels, "models"},
    Row{"", "v1/messages/batches/**", kRelayed, kMessages, kChat, "batches"},
    Row{"", "v1/files/**", kRelayed, kMessages, kChat, "files"},
};

bool matches(std::string_view pattern, Segments segments) {
  while (true) {
    if (pattern == "**") return true;
    if (segments.empty()) return pattern.empty();
    if (pattern.empty()) return false;
    const std::size_t end = std::min(pattern.find('/'), pattern.size());
    const std::string_view wanted = pattern.substr(0, end);
    if (wanted != "*" && wanted != segments.front()) return false;
    pattern.remove_prefix(std::min(end + 1, pattern.size()));
    segments = segments.subspan(1);
  }
}

// v1, v1beta, openai: after what an endpoint of OpenAI's can begin.
bool is_version(std::string_view segment) {
  if (segment == "openai" || segment == "api") return true;
  return segment.size() >= 2 && segment[0] == 'v' && is(kDigitChar, segment[1]);
}

LlmEndpoint endpoint_of(const Row& row) {
  return {row.standing, row.dialect, row.operation, row.name, "", false};
}

// The first row that fits behind the shortest base path. What is read may stand behind any: it is
// refused if it cannot be understood. The rest needs one that can be a provider's.
std::optional<LlmEndpoint> found(std::span<const Row> rows, std::string_view method,
                                 Segments segments) {
  for (std::size_t base = 0; base < segments.size(); ++base) {
    const bool is_base = base == 0 || is_version(segments[base - 1]);
    for (const Row& row : rows) {
      if (!row.method.empty() && row.method != method) continue;
      if (!is_base && row.method != "POST") continue;
      if (matches(row.path, segments.subspan(base))) return endpoint_of(row);
    }
  }
  return std::nullopt;
}

std::optional<LlmEndpoint> openai(std::string_view method, Segments segments) {
  return found(kOpenAiRows, method, segments);
}

// /openai/deployments/{deployment}/chat/completions, and what OpenAI has at /openai/v1.
std::optional<LlmEndpoint> azure(std::string_view method, Segments segments) {
  const auto at = std::ranges::find(segments, "deployments");
  if (segments.end() - at < 2) return openai(method, segments);
  auto endpoint = openai(method, Segments(at + 2, segments.end()));
  if (endpoint) endpoint->model = *std::next(at);
  return endpoint;
}

struct Verb {
  std::string_view name;
  LlmOperation operation;
  bool streams;
};
constexpr std::array kGeminiVerbs = {
    Verb{"generateContent", kChat, false},
    Verb{"streamGenerateContent", kChat, true},
    Verb{"countTokens", LlmOperation::kCountTokens, false},
    Verb{"embedContent", LlmOperation::kEmbeddings, false},
    Verb{"batchEmbedContents", LlmOperation::kEmbeddings, false},
};
constexpr std::array kGeminiRows = {
    Row{"GET", "models/**", kGoverned, LlmDialect::kGemini, LlmOperation::kModels, "models"},
    Row{"", "files/**", kRelayed, LlmDialect::kGemini, kChat, "files"},
    Row{"", "upload/*/files", kRelayed, LlmDialect::kGemini, kChat, "files"},
    Row{"", "batches/**", kRelayed, LlmDialect::kGemini, kChat, "batches"},
};

// /v1beta/models/{model}:generateContent, also behind a Vertex project; OpenAI's at
// /v1beta/openai.
std::optional<LlmEndpoint> gemini(std::string_view method, Segments segments) {
  if (std::ranges::find(segments, "openai") != segments.end()) return openai(method, segments);
  if (segments.size() < 2) return std::nullopt;
  const std::string_view last = segments.back();
  const std::string_view before = segments[segments.size() - 2];
  const std::size_t colon = last.rfind(':');
  const bool names_model = before == "models" || before == "tunedModels" || before == "endpoints";
  if (colon == std::string_view::npos || !names_model) return found(kGeminiRows, method, segments);
  const std::string_view said = last.substr(colon + 1);
  const auto* const verb = std::ranges::find_if(
      kGeminiVerbs, [&](const Verb& known) { return equal_ignoring_case(known.name, said); });
  if (verb == kGeminiVerbs.end()) return std::nullopt;
  const bool is_exact = method == "POST" && verb->name == said;
  return LlmEndpoint{
      is_exact ? kGoverned : Standing::kMisused, LlmDialect::kGemini, verb->operation, verb->name,
      std::string(last.substr(0, colon)),        verb->streams};
}

// /model/{model}/converse and /model/{model}/converse-stream.
std::optional<LlmEndpoint> bedrock(std::string_view method, Segments segments) {
  if (segments.size() != 3 || segments[0] != "model" || method != "POST") return std::nullopt;
  const bool streams = segments[2] == "converse-stream";
  if (!streams && segments[2] != "converse") return std::nullopt;
  return LlmEndpoint{kGoverned,   LlmDialect::kBedrock,
                     kChat,       streams ? "converse-stream" : "converse",
                     segments[1], streams};
}

std::optional<LlmEndpoint> exactly(LlmProvider provider, std::string_view method,
                                   Segments segments) {
  switch (provider) {
    case LlmProvider::kOpenAi:
      return openai(method, segments);
    case LlmProvider::kAzureOpenAi:
      return azure(method, segments);
    case LlmProvider::kAnthropic:
      return found(kAnthropicRows, method, segments);
    case LlmProvider::kGemini:
      return gemini(method, segments);
    case LlmProvider::kBedrock:
      return bedrock(method, segments);
  }
  return std::nullopt;
}

}  // namespace

std::string_view name_of(LlmOperation operation) {
  constexpr std::array<std::string_view, 5> kNames = {"chat", "text_completion", "embeddings",
                                                      "count_tokens", "models"};
  return kNames.at(static_cast<std::size_t>(operation));
}

std::string_view name_of(LlmProvider provider) {
  constexpr std::array<std::string_view, 5> kNames = {"openai", "azure.ai.openai", "anthropic",
                                                      "gcp.gemini", "aws.bedrock"};
  return kNames.at(static_cast<std::size_t>(provider));
}

LlmEndpoint llm_endpoint(LlmProvider provider, std::string_view method, std::string_view path) {
  const auto segments = segments_of(path);
  if (auto endpoint = exactly(provider, method, segments)) return *std::move(endpoint);
  const auto other = lenient_segments(segments);
  for (const std::string_view usual : {"POST", "GET"}) {
    auto endpoint = exactly(provider, usual, other);
    if (!endpoint || endpoint->standing != Standing::kGoverned) continue;
    if (endpoint->operation == LlmOperation::kModels) continue;
    endpoint->standing = Standing::kMisused;
    return *std::move(endpoint);
  }
  LlmEndpoint unknown;
  if (provider == LlmProvider::kAnthropic) unknown.dialect = LlmDialect::kAnthropic;
  if (provider == LlmProvider::kGemini) unknown.dialect = LlmDialect::kGemini;
  if (provider == LlmProvider::kBedrock) unknown.dialect = LlmDialect::kBedrock;
  return unknown;
}

}  // namespace gatehouse::wire
