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

// One endpoint of a provider, below its base path. In `path`, `*` is one segment, or what stands
// before a verb in it (`*:cancel`), and `**` as the last one any rest, also none.
struct Row {
  std::string_view method;
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

constexpr auto kMedia = LlmDialect::kOpenAiMedia;

// The endpoints that store, batch and fetch are relayed unread: what a file holds, or asks for, is
// known to the provider alone. (https://platform.openai.com/docs/api-reference)
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
    Row{"POST", "images/generations", kGoverned, kMedia, LlmOperation::kImages, "images.generate"},
    Row{"POST", "images/edits", kGoverned, kMedia, LlmOperation::kImages, "images.edit"},
    Row{"POST", "images/variations", kGoverned, kMedia, LlmOperation::kImages, "images.variation"},
    Row{"POST", "audio/speech", kGoverned, kMedia, LlmOperation::kSpeech, "audio.speech"},
    Row{"POST", "audio/transcriptions", kGoverned, kMedia, LlmOperation::kTranscription,
        "audio.transcription"},
    Row{"POST", "audio/translations", kGoverned, kMedia, LlmOperation::kTranscription,
        "audio.translation"},
    Row{"POST", "moderations", kGoverned, kMedia, LlmOperation::kModeration, "moderations"},
    Row{"GET", "files", kRelayed, kOther, kChat, "files.list"},
    Row{"POST", "files", kRelayed, kOther, kChat, "files.create"},
    Row{"GET", "files/*", kRelayed, kOther, kChat, "files.retrieve"},
    Row{"GET", "files/*/content", kRelayed, kOther, kChat, "files.content"},
    Row{"DELETE", "files/*", kRelayed, kOther, kChat, "files.delete"},
    Row{"POST", "uploads", kRelayed, kOther, kChat, "uploads.create"},
    Row{"POST", "uploads/*/parts", kRelayed, kOther, kChat, "uploads.part"},
    Row{"POST", "uploads/*/complete", kRelayed, kOther, kChat, "uploads.complete"},
    Row{"POST", "uploads/*/cancel", kRelayed, kOther, kChat, "uploads.cancel"},
    Row{"GET", "batches", kRelayed, kOther, kChat, "batches.list"},
    Row{"POST", "batches", kRelayed, kOther, kChat, "batches.create"},
    Row{"GET", "batches/*", kRelayed, kOther, kChat, "batches.retrieve"},
    Row{"POST", "batches/*/cancel", kRelayed, kOther, kChat, "batches.cancel"},
};

constexpr auto kMessages = LlmDialect::kAnthropic;
constexpr std::array kAnthropicRows = {
    Row{"POST", "v1/messages", kGoverned, kMessages, kChat, "messages"},
    Row{"POST", "v1/messages/count_tokens", kGoverned, kMessages, LlmOperation::kCountTokens,
        "count_tokens"},
    Row{"GET", "v1/models/**", kGoverned, kMessages, LlmOperation::kModels, "models"},
    Row{"GET", "v1/messages/batches", kRelayed, kMessages, kChat, "batches.list"},
    Row{"POST", "v1/messages/batches", kRelayed, kMessages, kChat, "batches.create"},
    Row{"GET", "v1/messages/batches/*", kRelayed, kMessages, kChat, "batches.retrieve"},
    Row{"GET", "v1/messages/batches/*/results", kRelayed, kMessages, kChat, "batches.results"},
    Row{"POST", "v1/messages/batches/*/cancel", kRelayed, kMessages, kChat, "batches.cancel"},
    Row{"DELETE", "v1/messages/batches/*", kRelayed, kMessages, kChat, "batches.delete"},
    Row{"GET", "v1/files", kRelayed, kMessages, kChat, "files.list"},
    Row{"POST", "v1/files", kRelayed, kMessages, kChat, "files.create"},
    Row{"GET", "v1/files/*", kRelayed, kMessages, kChat, "files.retrieve"},
    Row{"GET", "v1/files/*/content", kRelayed, kMessages, kChat, "files.content"},
    Row{"DELETE", "v1/files/*", kRelayed, kMessages, kChat, "files.delete"},
};

bool is_said_by(std::string_view wanted, std::string_view segment) {
  if (!wanted.starts_with('*')) return wanted == segment;
  const std::string_view verb = wanted.substr(1);
  return segment.size() > verb.size() && segment.ends_with(verb);
}

bool matches(std::string_view pattern, Segments segments) {
  while (true) {
    if (pattern == "**") return true;
    if (segments.empty()) return pattern.empty();
    if (pattern.empty()) return false;
    const std::size_t end = std::min(pattern.find('/'), pattern.size());
    const std::string_view wanted = pattern.substr(0, end);
    if (wanted != "*" && !is_said_by(wanted, segments.front())) return false;
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

// Servers take paths in any case.
bool may_name_model(Segments base) {
  constexpr std::array<std::string_view, 6> kWords = {"deployments", "deployment", "engines",
                                                      "engine",      "models",     "model"};
  return std::ranges::any_of(base, [&](std::string_view segment) {
    return std::ranges::any_of(
        kWords, [&](std::string_view word) { return equal_ignoring_case(segment, word); });
  });
}

// The first row that fits behind the shortest base path. What is read may stand behind any: it is
// refused if it cannot be understood. The rest needs one that can be a provider's.
std::optional<LlmEndpoint> found(std::span<const Row> rows, std::string_view method,
                                 Segments segments) {
  for (std::size_t base = 0; base < segments.size(); ++base) {
    const bool is_base = base == 0 || is_version(segments[base - 1]);
    for (const Row& row : rows) {
      if (row.method != method) continue;
      const bool is_read = row.method == "POST" && row.standing == kGoverned;
      if (!is_base && !is_read) continue;
      if (!matches(row.path, segments.subspan(base))) continue;
      LlmEndpoint endpoint = endpoint_of(row);
      endpoint.base_may_name_model = !is_base || may_name_model(segments.first(base));
      return endpoint;
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
  if (!endpoint) return endpoint;
  endpoint->model = *std::next(at);
  endpoint->base_may_name_model =
      endpoint->base_may_name_model || may_name_model(Segments(segments.begin(), at));
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
constexpr auto kGeminis = LlmDialect::kGemini;
// A file is created by an upload, in one request or by several, and by its URI.
// (https://ai.google.dev/api/files, https://ai.google.dev/api/batch-api)
constexpr std::array kGeminiRows = {
    Row{"GET", "models/**", kGoverned, kGeminis, LlmOperation::kModels, "models"},
    Row{"GET", "files", kRelayed, kGeminis, kChat, "files.list"},
    Row{"POST", "files", kRelayed, kGeminis, kChat, "files.create"},
    Row{"POST", "upload/*/files", kRelayed, kGeminis, kChat, "files.create"},
    Row{"PUT", "upload/*/files", kRelayed, kGeminis, kChat, "files.create"},
    Row{"GET", "files/*", kRelayed, kGeminis, kChat, "files.retrieve"},
    Row{"GET", "download/*/files/*", kRelayed, kGeminis, kChat, "files.content"},
    Row{"DELETE", "files/*", kRelayed, kGeminis, kChat, "files.delete"},
    Row{"POST", "models/*:batchGenerateContent", kRelayed, kGeminis, kChat, "batches.create"},
    Row{"POST", "models/*:asyncBatchEmbedContent", kRelayed, kGeminis, kChat, "batches.create"},
    Row{"GET", "batches", kRelayed, kGeminis, kChat, "batches.list"},
    Row{"POST", "batches/*:cancel", kRelayed, kGeminis, kChat, "batches.cancel"},
    Row{"GET", "batches/*", kRelayed, kGeminis, kChat, "batches.retrieve"},
    Row{"DELETE", "batches/*", kRelayed, kGeminis, kChat, "batches.delete"},
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
  if (verb == kGeminiVerbs.end()) return found(kGeminiRows, method, segments);
  const bool is_exact = method == "POST" && verb->name == said;
  return LlmEndpoint{
      is_exact ? kGoverned : Standing::kMisused, LlmDialect::kGemini, verb->operation, verb->name,
      std::string(last.substr(0, colon)),        verb->streams};
}

constexpr std::array kBedrockVerbs = {
    Verb{"converse", kChat, false},
    Verb{"converse-stream", kChat, true},
};

// /model/{model}/converse and /model/{model}/converse-stream.
std::optional<LlmEndpoint> bedrock(std::string_view method, Segments segments) {
  if (segments.size() != 3 || segments[0] != "model" || method != "POST") return std::nullopt;
  const auto* const verb = std::ranges::find(kBedrockVerbs, segments[2], &Verb::name);
  if (verb == kBedrockVerbs.end()) return std::nullopt;
  return LlmEndpoint{kGoverned,  LlmDialect::kBedrock, verb->operation,
                     verb->name, segments[1],          verb->streams};
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
  constexpr std::array<std::string_view, kLlmOperations> kNames = {
      "chat",   "text_completion", "embeddings",    "count_tokens", "models",
      "images", "speech",          "transcription", "moderation"};
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

std::vector<std::string_view> llm_operation_names(LlmProvider provider) {
  std::vector<std::string_view> names;
  const auto add = [&](const auto& rows) {
    for (const auto& row : rows) {
      if (std::ranges::find(names, row.name) == names.end()) names.push_back(row.name);
    }
  };
  switch (provider) {
    case LlmProvider::kOpenAi:
    case LlmProvider::kAzureOpenAi:
      add(kOpenAiRows);
      break;
    case LlmProvider::kAnthropic:
      add(kAnthropicRows);
      break;
    case LlmProvider::kGemini:
      add(kGeminiVerbs);
      add(kGeminiRows);
      add(kOpenAiRows);
      break;
    case LlmProvider::kBedrock:
      add(kBedrockVerbs);
      break;
  }
  return names;
}

}  // namespace gatehouse::wire
