// SPDX-License-Identifier: Apache-2.0
#include "wire/llm_model.h"

#include <fmt/format.h>

#include <array>

#include "base/encoding.h"
#include "wire/form.h"
#include "wire/json.h"
#include "wire/path.h"

namespace gatehouse::wire {
namespace {

constexpr std::string_view kResource = "models/";  // Gemini's bodies say it so, if at all

constexpr std::array<std::string_view, 13> kOpenAiTails = {
    "/chat/completions",  "/responses/compact", "/responses/input_tokens", "/responses",
    "/completions",       "/embeddings",        "/images/generations",     "/images/edits",
    "/images/variations", "/audio/speech",      "/audio/transcriptions",   "/audio/translations",
    "/moderations"};

// What else can name a model in a body of Gemini's.
bool names_more_models(const JsonObject& body) {
  return body.find("generateContentRequest") != nullptr || body.find("requests") != nullptr;
}

bool is_of_openai(const LlmEndpoint& endpoint) {
  return endpoint.dialect == LlmDialect::kOpenAiChat
         || endpoint.dialect == LlmDialect::kOpenAiResponses
         || endpoint.dialect == LlmDialect::kOpenAiOther
         || endpoint.dialect == LlmDialect::kOpenAiMedia;
}

Result<std::string> segment_for(std::string_view model) {
  if (model.contains('/')) {
    return failure(Error::kUnsupported,
                   fmt::format("a path cannot say the model \"{}\": it has a slash",
                               printable(model.substr(0, 128))));
  }
  return percent_encoded(model);
}

// The segment at `at` until its end, or until the last of `end` in it, becomes the model.
Result<std::string> with_segment(std::string_view path, std::size_t at, std::string_view end,
                                 std::string_view model) {
  const std::string_view segment = path.substr(at, path.find('/', at) - at);
  const std::size_t size = end.empty() ? segment.size() : segment.rfind(end);
  const std::string said = TRY(segment_for(model));
  return canonical_path(fmt::format("{}{}{}", path.substr(0, at), said,
                                    path.substr(at + std::min(size, segment.size()))));
}

}  // namespace

Result<std::string> body_for_model(const LlmEndpoint& endpoint, const LlmRequest& request,
                                   std::string_view body, std::string_view model, bool asks_usage) {
  const JsonObject object = TRY(scan_object(body));
  const JsonValue* const said = object.find("model");
  const bool is_gemini = endpoint.dialect == LlmDialect::kGemini;
  if (is_gemini && names_more_models(object)) {
    return failure(Error::kUnsupported,
                   "a request that says its model in several places is not sent to another");
  }
  std::string out(body);
  std::optional<TextEdit> change;
  if (said != nullptr) {
    const bool is_resource = is_gemini && said->string().value_or("").starts_with(kResource);
    change =
        replacing(body, said->raw,
                  json_quoted((is_resource ? std::string(kResource) : "") + std::string(model)));
  } else if (endpoint.model.empty()) {
    change = with_member(body, object, fmt::format("\"model\":{}", json_quoted(model)));
  }
  const auto& usage = request.usage_edit;
  const bool edits_usage = asks_usage && usage;
  // An edit moves what is behind it.
  if (edits_usage && (!change || usage->at >= change->at)) out = edited(out, *usage);
  if (change) out = edited(out, *change);
  if (edits_usage && change && usage->at < change->at) out = edited(out, *usage);
  return out;
}

Result<std::string> form_for_model(const LlmEndpoint& endpoint, std::string_view content_type,
                                   std::string_view body, std::string_view model) {
  const auto fields = TRY(form_fields(content_type, body));
  const FormField* const said = TRY(only_field(fields, "model"));
  if (said != nullptr) return edited(body, replacing(body, said->value, std::string(model)));
  if (!endpoint.model.empty()) return std::string(body);
  return failure(Error::kUnsupported, "a form that names no model is not sent to another");
}

Result<std::string> path_for_model(const LlmEndpoint& endpoint, std::string_view path,
                                   std::string_view model, std::string_view prefix) {
  if (!prefix.empty()) {
    for (const std::string_view tail : kOpenAiTails) {
      if (is_of_openai(endpoint) && path.ends_with(tail)) {
        return std::string(prefix) + std::string(tail);
      }
    }
    return failure(Error::kUnsupported, "a prefix is for OpenAI's endpoints, and this is another");
  }
  if (endpoint.model.empty()) return std::string(path);
  if (endpoint.dialect == LlmDialect::kGemini) {
    return with_segment(path, path.rfind('/') + 1, ":", model);
  }
  constexpr std::string_view kDeployments = "/deployments/";
  if (is_of_openai(endpoint)) {
    const std::size_t at = path.find(kDeployments);
    if (at != std::string_view::npos) {
      return with_segment(path, at + kDeployments.size(), "", model);
    }
  }
  constexpr std::string_view kModel = "/model/";
  if (endpoint.dialect == LlmDialect::kBedrock && path.starts_with(kModel)) {
    return with_segment(path, kModel.size(), "", model);
  }
  return failure(Error::kUnsupported, "the path says its model in a way that is not understood");
}

}  // namespace gatehouse::wire
