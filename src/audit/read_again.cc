// SPDX-License-Identifier: Apache-2.0
#include "audit/read_again.h"

#include <algorithm>
#include <optional>

#include "wire/llm.h"

namespace gatehouse::audit {
namespace {

Result<std::string> body_of(const Entry& entry, std::string_view name, const FetchBody& fetch) {
  const auto found = std::ranges::find(entry.bodies, name, &BodyRef::name);
  if (found == entry.bodies.end()) {
    return failure(Error::kCorrupt, "the entry names no body '" + std::string(name) + "'");
  }
  return fetch(*found);
}

Result<wire::LlmEndpoint> endpoint_of(const Entry& entry) {
  for (const wire::LlmProvider provider : wire::kLlmProviders) {
    if (name_of(provider) != entry.tag("llm.provider")) continue;
    auto endpoint = wire::llm_endpoint(provider, entry.tag("method"), entry.tag("path"));
    if (endpoint.has_meaning_in_body()) return endpoint;
  }
  return failure(Error::kCorrupt, "the entry names no endpoint of a model's provider");
}

Result<std::string> input_of(const Entry& entry, const FetchBody& fetch) {
  const std::string body = TRY(body_of(entry, entry.tag(kInputIn), fetch));
  const auto request = wire::LlmRequest::parse(TRY(endpoint_of(entry)), body);
  if (!request) return failure(Error::kCorrupt, request.error().message());
  return wire::json_of(request->new_messages);
}

Result<wire::LlmAnswerReader> answer_of(const Entry& entry, const FetchBody& fetch) {
  const std::string body = TRY(body_of(entry, entry.tag(kAnswerIn), fetch));
  wire::LlmAnswerReader reader(TRY(endpoint_of(entry)), wire::LlmAnswerReader::Form::kWhole);
  const auto read = reader.read_whole(body);
  if (!read) return failure(Error::kCorrupt, read.error().message());
  return reader;
}

}  // namespace

std::vector<Again> read_again(const Entry& entry, const FetchBody& fetch) {
  std::vector<Again> said;
  if (entry.kind == Kind::kIntent && !entry.tag(kInputIn).empty()) {
    said.push_back({"llm.input", input_of(entry, fetch)});
  }
  if (entry.kind == Kind::kSettled && !entry.tag(kAnswerIn).empty()) {
    auto reader = answer_of(entry, fetch);
    if (!reader) return {{"llm.text", Failure(reader.error())}};
    const wire::LlmAnswer& answer = reader->answer();
    if (!answer.text.empty()) said.push_back({"llm.text", answer.text});
    if (!answer.reasoning.empty()) said.push_back({"llm.reasoning", answer.reasoning});
    if (!answer.tool_calls.empty()) {
      said.push_back({"llm.tool_calls", wire::json_of(answer.tool_calls)});
    }
  }
  return said;
}

}  // namespace gatehouse::audit
