// SPDX-License-Identifier: Apache-2.0
// Each dialect's requests, answers and streams. A stream means the same however it is split, and
// what is given on of it is the stream; an edited request is the same request, with usage.
#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/encoding.h"
#include "wire/event_stream.h"
#include "wire/llm.h"
#include "wire/llm_model.h"
#include "wire/llm_models.h"

namespace {

using namespace gatehouse;
using namespace gatehouse::wire;

constexpr std::array kDialects = {LlmDialect::kOpenAiChat,  LlmDialect::kOpenAiResponses,
                                  LlmDialect::kOpenAiOther, LlmDialect::kAnthropic,
                                  LlmDialect::kGemini,      LlmDialect::kBedrock,
                                  LlmDialect::kOpenAiMedia};

struct Read {
  LlmAnswerReader reader;
  std::string relayed;
};

using Form = LlmAnswerReader::Form;

Read read(const LlmEndpoint& endpoint, Form form, std::string_view stream, std::size_t piece) {
  Read out{LlmAnswerReader(endpoint, form), ""};
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    out.relayed += out.reader.feed(stream.substr(at, piece));
  }
  out.relayed += out.reader.finish();
  return out;
}

void check_stream(const LlmEndpoint& endpoint, Form form, std::string_view stream) {
  Read whole = read(endpoint, form, stream, stream.size() + 1);
  Read split = read(endpoint, form, stream, 1 + stream.size() % 7);
  CHECK(whole.relayed == stream && split.relayed == stream);
  const LlmAnswer& a = whole.reader.answer();
  const LlmAnswer& b = split.reader.answer();
  CHECK(a.text == b.text && a.reasoning == b.reasoning && a.usage == b.usage);
  CHECK(a.tool_calls.size() == b.tool_calls.size() && a.is_complete == b.is_complete);
  (void)whole.reader.error_event({502, "upstream", "", "broken"});
}

// Of a request with another model, all else is as it was.
void check_model(const LlmEndpoint& endpoint, std::string_view text) {
  const auto request = LlmRequest::parse(endpoint, text);
  if (!request) return;
  constexpr std::string_view kOther = "other-model";
  const auto made = body_for_model(endpoint, *request, text, kOther, true);
  if (!made) return;
  const auto again = LlmRequest::parse(endpoint, *made);
  CHECK(again && again->model == kOther && again->stream == request->stream);
  CHECK(again->tools == request->tools && again->max_tokens == request->max_tokens);
  CHECK(again->asks_for_usage == (request->asks_for_usage || request->usage_edit.has_value()));
  CHECK(again->new_messages.size() == request->new_messages.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  LlmEndpoint endpoint;
  endpoint.dialect = kDialects.at(data[0] % kDialects.size());
  endpoint.operation = static_cast<LlmOperation>(data[0] / 8 % kLlmOperations);
  const std::string_view text = text_of({data + 1, size - 1});
  if (const auto request = LlmRequest::parse(endpoint, text); request && request->usage_edit) {
    const auto again = LlmRequest::parse(endpoint, edited(text, *request->usage_edit));
    CHECK(again && again->asks_for_usage && again->model == request->model);
  }
  check_model(endpoint, text);
  if (const auto list = models_with(endpoint, text, {"house", "a\"b"})) {
    CHECK(models_with(endpoint, *list, {"house", "a\"b"}) == *list);
  }
  LlmAnswerReader reader(endpoint, LlmAnswerReader::Form::kWhole);
  (void)reader.read_whole(text);
  check_stream(endpoint, Form::kEvents, text);
  check_stream(endpoint, Form::kEvents, "data: " + std::string(text) + "\n\n");
  check_stream(endpoint, Form::kJsonArray, text);
  check_stream(endpoint, Form::kJsonArray, "[{}," + std::string(text) + "]");
  check_stream(endpoint, Form::kFrames, text);
  check_stream(endpoint, Form::kFrames,
               event_stream_frame({{":event-type", "contentBlockDelta"}}, text));
  for (const auto provider :
       {LlmProvider::kOpenAi, LlmProvider::kAzureOpenAi, LlmProvider::kAnthropic,
        LlmProvider::kGemini, LlmProvider::kBedrock}) {
    (void)llm_endpoint(provider, "POST", "/" + std::string(text));
  }
  return 0;
}
