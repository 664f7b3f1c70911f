// SPDX-License-Identifier: Apache-2.0
// OpenAI's images, audio and moderations. Requests are JSON or, with files, a form; answers are
// JSON, events, or the sound itself. (https://platform.openai.com/docs/api-reference/images,
// https://platform.openai.com/docs/api-reference/audio)
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "wire/characters.h"
#include "wire/form.h"
#include "wire/llm_parts.h"

namespace gatehouse::wire {
namespace {

constexpr double kSecondsMost = 1e9;

// What a person would call the request's words.
std::string_view words_of(LlmOperation operation) {
  const bool is_input =
      operation == LlmOperation::kSpeech || operation == LlmOperation::kModeration;
  return is_input ? "input" : "prompt";
}

// Text, an array of it, or an array of parts of which some are text.
Result<std::string> words_in(const JsonValue* said) {
  if (said == nullptr) return std::string();
  if (auto text = said->string()) return *std::move(text);
  if (!said->is(JsonType::kArray)) return std::string();
  std::string words;
  for (const JsonValue& element : TRY(scan_array(said->raw))) {
    if (const auto text = element.string()) add_line(words, *text);
    if (element.is(JsonType::kObject))
      add_line(words, text_or(TRY(scan_object(element.raw)), "text"));
  }
  return words;
}

// `seconds` is a number, with a fraction or without; it is billed by the second that has begun.
std::int64_t whole_seconds(const JsonObject& usage) {
  const JsonValue* const said = usage.find("seconds");
  if (said == nullptr || !said->is(JsonType::kNumber)) return 0;
  double seconds = 0;
  const auto read = std::from_chars(said->raw.data(), said->raw.data() + said->raw.size(), seconds);
  if (read.ec != std::errc() || !(seconds >= 0) || seconds > kSecondsMost) return 0;
  return static_cast<std::int64_t>(std::ceil(seconds));
}

// Of tokens, or of the time that the sound takes. What a part of the input is said to be stands in
// a member that images and transcriptions spell differently.
Result<void> read_usage(const JsonObject& body, LlmAnswer& answer) {
  const JsonObject usage = TRY(inner(body, "usage"));
  if (usage.members.empty()) return {};
  if (usage.string("type") == "duration") {
    answer.audio_seconds = whole_seconds(usage);
    return {};
  }
  const bool is_sound = present(usage, "input_token_details") != nullptr;
  const JsonObject input =
      TRY(inner(usage, is_sound ? "input_token_details" : "input_tokens_details"));
  const JsonObject output = TRY(inner(usage, "output_tokens_details"));
  answer.usage = Usage{
      .input = integer(usage, "input_tokens"),
      .cache_read = integer(input, "cached_tokens"),
      .input_audio = integer(input, "audio_tokens"),
      .output = integer(usage, "output_tokens"),
      .reasoning = integer(output, "reasoning_tokens"),
      .output_audio = integer(output, "audio_tokens"),
  };
  return {};
}

bool is_last(std::string_view type) {
  constexpr std::array<std::string_view, 4> kLast = {"image_generation.completed",
                                                     "image_edit.completed", "speech.audio.done",
                                                     "transcript.text.done"};
  return std::ranges::find(kLast, type) != kLast.end();
}

Result<void> check_error(const JsonObject& body, LlmAnswer& answer) {
  if (present(body, "error") == nullptr) return {};
  answer.error = text_or(TRY(inner(body, "error")), "message");
  return failure(Error::kUpstream, "the provider sent an error in place of an answer");
}

}  // namespace

Result<LlmRequest> openai_media_request(LlmOperation operation, std::string_view text) {
  const JsonObject body = TRY(scan_object(text));
  LlmRequest request;
  request.model = TRY(model_of(body));
  request.other_models = TRY(other_models_of(body));
  request.stream = TRY(flag(body, "stream")) || body.string("stream_format") == "sse";
  std::string words = TRY(words_in(present(body, words_of(operation))));
  if (!words.empty()) request.new_messages.push_back({"user", std::move(words)});
  return request;
}

Result<LlmRequest> openai_media_form(LlmOperation operation, std::string_view content_type,
                                     std::string_view body) {
  const auto fields = TRY(form_fields(content_type, body));
  LlmRequest request;
  request.is_new_alone = false;  // its content type says how it is read
  if (const FormField* const model = TRY(only_field(fields, "model"))) {
    if (!all_are(kVisibleChar, model->value)) return wrong_type("model", "a name");
    request.model = model->value;
  }
  const FormField* const stream = TRY(only_field(fields, "stream"));
  request.stream = stream != nullptr && (stream->value == "true" || stream->value == "1");
  const FormField* const words = TRY(only_field(fields, words_of(operation)));
  if (words != nullptr && !words->value.empty()) {
    request.new_messages.push_back({"user", std::string(words->value)});
  }
  return request;
}

Result<void> read_openai_media(std::string_view text, AnswerBuilder& into) {
  const JsonObject body = TRY(scan_object(text));
  TRY(check_error(body, into.answer));
  into.answer.id = text_or(body, "id");
  into.answer.model = text_or(body, "model");
  into.add_text(text_or(body, "text"));
  TRY(read_usage(body, into.answer));
  into.answer.is_complete = true;
  return into.fits();
}

Result<void> read_openai_media_event(std::string_view data, AnswerBuilder& into) {
  if (data == "[DONE]") return {};
  const JsonObject body = TRY(scan_object(data));
  TRY(check_error(body, into.answer));
  const std::string type = text_or(body, "type");
  if (type == "transcript.text.delta") into.add_text(text_or(body, "delta"));
  if (!is_last(type)) return into.fits();
  if (into.answer.text.empty()) into.add_text(text_or(body, "text"));
  TRY(read_usage(body, into.answer));
  into.answer.is_complete = true;
  return into.fits();
}

}  // namespace gatehouse::wire
