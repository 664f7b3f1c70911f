// SPDX-License-Identifier: Apache-2.0
#include "wire/llm.h"

#include <fmt/format.h>

#include <functional>
#include <utility>

#include "base/check.h"
#include "base/encoding.h"
#include "wire/llm_parts.h"

namespace gatehouse::wire {
namespace {

constexpr std::size_t kMaxEvent = 16 * 1024 * 1024;  // the last one may repeat all the others

Failure as_upstream(const Error& error) {
  const bool ours = error == Error::kTooMany || error == Error::kTooLarge;
  return failure(ours ? error.code() : Error::kUpstream, error.message());
}

Result<LlmRequest> read_request(const LlmEndpoint& endpoint, std::string_view body) {
  switch (endpoint.dialect) {
    case LlmDialect::kOpenAiChat:
      return openai_chat_request(body);
    case LlmDialect::kOpenAiOther:
      return openai_other_request(endpoint.operation, body);
    case LlmDialect::kOpenAiResponses:
      return openai_responses_request(body);
    case LlmDialect::kAnthropic:
      return anthropic_request(body);
    case LlmDialect::kGemini:
    case LlmDialect::kBedrock:
      break;
  }
  return failure(Error::kUnsupported, "this model provider's requests are not read");
}

Result<void> read_answer(LlmDialect dialect, std::string_view body, AnswerBuilder& into) {
  switch (dialect) {
    case LlmDialect::kOpenAiChat:
      return read_openai_chat(body, into);
    case LlmDialect::kOpenAiOther:
      return read_openai_other(body, into);
    case LlmDialect::kOpenAiResponses:
      return read_openai_responses(body, into);
    case LlmDialect::kAnthropic:
      return read_anthropic(body, into);
    case LlmDialect::kGemini:
    case LlmDialect::kBedrock:
      break;
  }
  return failure(Error::kUpstream, "this model provider's answers are not read");
}

Result<void> read_one_event(LlmDialect dialect, std::string_view data, AnswerBuilder& into) {
  switch (dialect) {
    case LlmDialect::kOpenAiChat:
      return read_openai_chat_event(data, into);
    case LlmDialect::kOpenAiOther:
      return read_openai_other_event(data, into);
    case LlmDialect::kOpenAiResponses:
      return read_openai_responses_event(data, into);
    case LlmDialect::kAnthropic:
      return read_anthropic_event(data, into);
    case LlmDialect::kGemini:
    case LlmDialect::kBedrock:
      break;
  }
  return failure(Error::kUpstream, "this model provider's streams are not read");
}

std::string openai_error(const LlmError& error) {
  return fmt::format(R"({{"error":{{"message":{},"type":"gatehouse_{}","param":null,"code":{}}}}})",
                     json_quoted(error.message), error.label,
                     error.rule.empty() ? "null" : json_quoted(error.rule));
}

// https://docs.anthropic.com/en/api/errors
std::string_view anthropic_type(int status) {
  switch (status) {
    case 400:
      return "invalid_request_error";
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return "api_error";
  }
}

std::string anthropic_error(const LlmError& error) {
  return fmt::format(
      R"({{"type":"error","error":{{"type":"{}","message":{},"gatehouse_error":"{}","rule":{}}}}})",
      anthropic_type(error.status), json_quoted(error.message), error.label,
      error.rule.empty() ? "null" : json_quoted(error.rule));
}

}  // namespace

Result<LlmRequest> LlmRequest::parse(const LlmEndpoint& endpoint, std::string_view body) {
  LlmRequest request = TRY(read_request(endpoint, body));
  if (!endpoint.model.empty()) request.model = endpoint.model;
  if (request.model.empty()) return wrong_type("model", "a string");
  if (endpoint.streams) request.stream = true;
  return request;
}

Usage LlmAnswer::usage_or_estimate(std::size_t request_bytes) const {
  if (usage) return *usage;
  std::size_t out = text.size() + reasoning.size();
  for (const LlmToolCall& call : tool_calls) out += call.name.size() + call.arguments.size();
  Usage estimate;
  estimate.input = estimate_tokens(request_bytes);
  estimate.output = estimate_tokens(out);
  estimate.reasoning = estimate_tokens(reasoning.size());
  estimate.is_estimated = true;
  return estimate;
}

struct LlmAnswerReader::State {
  AnswerBuilder builder;
};

LlmAnswerReader::LlmAnswerReader(const LlmEndpoint& endpoint, Form form, bool hides_usage)
    : dialect_(endpoint.dialect),
      hides_usage_(hides_usage && form == Form::kEvents),
      events_(kMaxEvent),
      state_(std::make_unique<State>()) {}
LlmAnswerReader::LlmAnswerReader(LlmAnswerReader&&) noexcept = default;
LlmAnswerReader& LlmAnswerReader::operator=(LlmAnswerReader&&) noexcept = default;
LlmAnswerReader::~LlmAnswerReader() = default;

LlmAnswerReader::Form LlmAnswerReader::form_of(std::string_view content_type) {
  return content_type.starts_with("text/event-stream") ? Form::kEvents : Form::kWhole;
}

std::string_view LlmAnswerReader::feed(std::string_view piece) {
  if (is_broken_) return piece;
  out_.clear();
  direct_ = {};
  for (std::string_view rest = piece; !rest.empty();) {
    const Result<SseProgress> progress = events_.feed(rest);
    if (!progress) {
      is_broken_ = true;  // it is relayed all the same; only the reading ends
      give(events_.unfinished().substr(given_on_), piece);
      give(rest, piece);
      break;
    }
    rest.remove_prefix(progress->consumed);
    if (!progress->event) break;
    read_event(*progress->event);
    if (!is_hidden(*progress->event)) give(progress->event->raw.substr(given_on_), piece);
    given_on_ = 0;
  }
  // The LF of the CR LF that ended an event belongs to the next: it shall not wait for that.
  if (given_on_ == 0 && events_.unfinished() == "\n") {
    give(events_.unfinished(), piece);
    given_on_ = 1;
  }
  return out_.empty() ? direct_ : out_;
}

// What lies together in `piece` is given as it lies there; all else is copied.
void LlmAnswerReader::give(std::string_view part, std::string_view piece) {
  if (part.empty()) return;
  const std::less_equal<> is_before;
  const bool lies_in_piece = is_before(piece.data(), part.data())
                             && is_before(part.data() + part.size(), piece.data() + piece.size());
  const bool follows = direct_.empty() || direct_.data() + direct_.size() == part.data();
  if (out_.empty() && lies_in_piece && follows) {
    direct_ = {direct_.empty() ? part.data() : direct_.data(), direct_.size() + part.size()};
    return;
  }
  if (out_.empty()) out_ = direct_;
  out_ += part;
}

std::string_view LlmAnswerReader::finish() {
  if (is_broken_) return {};
  out_ = events_.unfinished().substr(given_on_);
  given_on_ = 0;
  return out_;
}

bool LlmAnswerReader::is_hidden(const SseEvent& event) const {
  return hides_usage_ && event.has_data && is_usage_chunk(event.data);
}

void LlmAnswerReader::read_event(const SseEvent& event) {
  // What an event that is none of the dialect's says is in the raw bytes.
  if (event.has_data) (void)read_one_event(dialect_, event.data, state_->builder);
}

Result<void> LlmAnswerReader::read_whole(std::string_view body) {
  const Result<void> read = read_answer(dialect_, body, state_->builder);
  if (!read) return as_upstream(read.error());
  return {};
}

const LlmAnswer& LlmAnswerReader::answer() const { return state_->builder.answer; }

std::string LlmAnswerReader::error_event(const LlmError& error) const {
  switch (dialect_) {
    case LlmDialect::kOpenAiChat:
    case LlmDialect::kOpenAiOther:
      return fmt::format("data: {}\n\n", openai_error(error));
    case LlmDialect::kOpenAiResponses:
      return fmt::format(
          "event: error\ndata: {{\"type\":\"error\",\"code\":\"gatehouse_{}\",\"message\":{},"
          "\"param\":null,\"sequence_number\":{}}}\n\n",
          error.label, json_quoted(error.message), state_->builder.sequence + 1);
    case LlmDialect::kAnthropic:
      return fmt::format("event: error\ndata: {}\n\n", anthropic_error(error));
    case LlmDialect::kGemini:
    case LlmDialect::kBedrock:
      break;
  }
  return "";
}

std::string llm_error_json(LlmProvider provider, const LlmError& error) {
  if (provider == LlmProvider::kAnthropic) return anthropic_error(error);
  return openai_error(error);
}

std::int64_t estimate_tokens(std::size_t bytes) {
  return static_cast<std::int64_t>(bytes / 2 + bytes % 2);
}

}  // namespace gatehouse::wire
