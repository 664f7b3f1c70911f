// SPDX-License-Identifier: Apache-2.0
// A request that is translated is one of its provider's dialect, with the same tools; a stream
// comes to the same chunks however it is split, which a chat's reader reads.
#include "wire/translation.h"

#include "base/check.h"
#include "base/encoding.h"

namespace {

using namespace gatehouse;
using namespace gatehouse::wire;

const LlmEndpoint kChat{.dialect = LlmDialect::kOpenAiChat};

LlmEndpoint endpoint_of(TranslatedTo to) {
  return to == TranslatedTo::kAnthropic
             ? llm_endpoint(LlmProvider::kAnthropic, "POST", "/v1/messages")
             : llm_endpoint(LlmProvider::kGemini, "POST", "/v1beta/models/m:generateContent");
}

void check_request(TranslatedTo to, std::string_view body) {
  const auto translated = translated_request(to, body, "m", 1024);
  if (!translated) return;
  const auto there = LlmRequest::parse(endpoint_of(to), translated->body);
  CHECK(there);
  const auto here = LlmRequest::parse(kChat, body);
  CHECK(!here || (here->tools == there->tools && there->provider_tools.empty()));
}

struct Told {
  std::string bytes;
  bool failed = false;
};

Told told(TranslatedTo from, std::string_view stream, std::size_t piece) {
  AnswerTranslation translation(from, 1, true);
  Told out;
  for (std::size_t at = 0; at < stream.size() && !out.failed; at += piece) {
    const auto chunks = translation.feed(stream.substr(at, piece));
    out.failed = !chunks;
    if (chunks) out.bytes += *chunks;
  }
  const auto end = translation.finish();
  out.failed = !end;
  if (end) out.bytes += *end;
  return out;
}

void check_stream(TranslatedTo from, std::string_view stream) {
  const Told whole = told(from, stream, stream.size() + 1);
  const Told split = told(from, stream, 1 + stream.size() % 5);
  CHECK(whole.failed == split.failed && whole.bytes == split.bytes);
  LlmAnswerReader reader(kChat, LlmAnswerReader::Form::kEvents);
  (void)reader.feed(whole.bytes);
  (void)reader.finish();
  CHECK(whole.failed || reader.answer().is_complete);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = text_of({data, size});
  for (const TranslatedTo to : {TranslatedTo::kAnthropic, TranslatedTo::kGemini}) {
    check_request(to, text);
    AnswerTranslation translation(to, 1, false);
    (void)translation.whole(text);
    check_stream(to, text);
    check_stream(to, "data: " + std::string(text) + "\n\n");
    (void)translated_error(to, 500, text);
  }
  return 0;
}
