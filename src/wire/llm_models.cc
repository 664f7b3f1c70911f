// SPDX-License-Identifier: Apache-2.0
#include "wire/llm_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "wire/json.h"
#include "wire/path.h"

namespace gatehouse::wire {
namespace {

constexpr std::string_view kResource = "models/";  // before a name of Gemini's
constexpr std::string_view kOwner = "gatehouse";
// When nobody knows since when there is a model; clients parse it as a date.
constexpr std::string_view kNoMoment = "1970-01-01T00:00:00Z";

bool is_gemini(const LlmEndpoint& endpoint) { return endpoint.dialect == LlmDialect::kGemini; }

std::string_view list_key(const LlmEndpoint& endpoint) {
  return is_gemini(endpoint) ? "models" : "data";
}

Result<std::set<std::string>> names_in(const LlmEndpoint& endpoint,
                                       const std::vector<JsonValue>& models) {
  std::set<std::string> names;
  for (const JsonValue& element : models) {
    const JsonObject model = TRY(scan_object(element.raw));
    std::string name = model.string(is_gemini(endpoint) ? "name" : "id").value_or("");
    if (is_gemini(endpoint) && name.starts_with(kResource)) name.erase(0, kResource.size());
    names.insert(std::move(name));
  }
  return names;
}

}  // namespace

ModelQuery model_query(const LlmEndpoint& endpoint, std::string_view path) {
  const auto segments = segments_of(path);
  // The first is the one that the endpoint was found at, unless a base path has the word too.
  const auto found = std::ranges::find(segments, "models");
  if (found == segments.end() || std::next(found) == segments.end()) {
    return {found != segments.end(), ""};
  }
  std::string name;
  for (auto at = std::next(found); at != segments.end(); ++at) {
    if (!name.empty()) name += '/';
    name += *at;
  }
  if (is_gemini(endpoint) && name.contains(':')) return {};  // a verb
  return {false, std::move(name)};
}

std::string model_json(const LlmEndpoint& endpoint, std::string_view name) {
  const std::string said = json_quoted(name);
  switch (endpoint.dialect) {
    case LlmDialect::kAnthropic:
      return fmt::format(R"({{"type":"model","id":{},"display_name":{},"created_at":"{}"}})", said,
                         said, kNoMoment);
    case LlmDialect::kGemini:
      return fmt::format(
          R"({{"name":{},"version":"1","displayName":{},"supportedGenerationMethods":)"
          R"(["generateContent","countTokens"]}})",
          json_quoted(std::string(kResource) + std::string(name)), said);
    default:
      return fmt::format(R"({{"id":{},"object":"model","created":0,"owned_by":"{}"}})", said,
                         kOwner);
  }
}

Result<std::string> models_with(const LlmEndpoint& endpoint, std::string_view list,
                                const std::vector<std::string>& names) {
  const JsonObject body = TRY(scan_object(list));
  const JsonValue* const models = body.find(list_key(endpoint));
  if (models == nullptr || !models->is(JsonType::kArray)) {
    return failure(Error::kInvalid, "it is no list of models");
  }
  const auto all = TRY(scan_array(models->raw));
  auto known = TRY(names_in(endpoint, all));
  std::string added;
  std::string first;
  for (const std::string& name : names) {
    if (!known.insert(name).second) continue;
    if (added.empty()) first = name;
    added += (added.empty() ? "" : ",") + model_json(endpoint, name);
  }
  if (added.empty()) return std::string(list);
  if (!all.empty()) added += ',';
  std::string out = edited(list, replacing(list, models->raw.substr(1, 0), std::move(added)));
  // Anthropic's says which is its first.
  const JsonObject again = TRY(scan_object(out));
  const JsonValue* const first_id = again.find("first_id");
  if (endpoint.dialect != LlmDialect::kAnthropic || first_id == nullptr) return out;
  return edited(out, replacing(out, first_id->raw, json_quoted(first)));
}

}  // namespace gatehouse::wire
