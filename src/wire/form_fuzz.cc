// SPDX-License-Identifier: Apache-2.0
// Forms: values are views of the body, and one that is exchanged for another changes nothing else.
#include "base/check.h"
#include "base/encoding.h"
#include "wire/form.h"
#include "wire/json.h"
#include "wire/llm.h"
#include "wire/llm_model.h"

namespace {

using namespace gatehouse;
using namespace gatehouse::wire;

void check(std::string_view type, std::string_view body) {
  const auto fields = form_fields(type, body);
  const LlmEndpoint heard = llm_endpoint(LlmProvider::kOpenAi, "POST", "/v1/audio/transcriptions");
  const auto request = LlmRequest::parse_form(heard, type, body);
  CHECK(fields || !request);
  if (!fields) return;
  if (request) {
    const auto made = form_for_model(heard, type, body, "other");
    CHECK(made && LlmRequest::parse_form(heard, type, *made)->model == "other");
  }
  CHECK(is_form(type) && fields->size() <= kFormFieldsMost);
  const auto model = only_field(*fields, "model");
  if (!model || *model == nullptr) return;
  const std::string made = edited(body, replacing(body, (*model)->value, "other"));
  const auto again = form_fields(type, made);
  CHECK(again && again->size() == fields->size());
  for (std::size_t i = 0; i < fields->size(); ++i) {
    const bool is_model = &(*fields)[i] == *model;
    CHECK((*again)[i].name == (*fields)[i].name);
    CHECK((*again)[i].value == (is_model ? "other" : (*fields)[i].value));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = text_of({data, size});
  const std::size_t line = text.find('\n');
  if (line != std::string_view::npos) check(text.substr(0, line), text.substr(line + 1));
  check("multipart/form-data; boundary=b", text);
  return 0;
}
