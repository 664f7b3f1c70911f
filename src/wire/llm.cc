// SPDX-License-Identifier: Apache-2.0
#include "wire/llm.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>
#include <variant>

#include "base/encoding.h"
#include "wire/event_stream.h"
#include "wire/google_status.h"
#include "wire/json_array.h"
#include "wire/llm_parts.h"
#include "wire/sse.h"

namespace gatehouse::wire {
namespace {

constexpr std::size_t kPutOffMost = 64 * 1024;       // of events that are read later
constexpr std::size_t kMaxEvent = 16 * 1024 * 1024;  // the last one may repeat all the others

Failure as_upstream(const Error& error) {
  const bool ours = error == Error::kTooMany || error == Error::kTooLarge;
  return failure(ours ? error.code() : Error::kUpstream, error.message());
}

Result<LlmRequest> read_request(const LlmEndpoint& endpoint, const RequestText& body) {
  switch (endpoint.dialect) {
    case LlmDialect::kOpenAiChat:
      return openai_chat_request(body);
    case LlmDialect::kOpenAiOther:
      return openai_other_request(endpoint.operation, body.json);
    case LlmDialect::kOpenAiMedia:
      return openai_media_request(endpoint.operation, body.json);
    case LlmDialect::kOpenAiResponses:
      return openai_responses_request(body);
    case LlmDialect::kAnthropic:
      return anthropic_request(body);
    case LlmDialect::kGemini:
      return gemini_request(endpoint.operation, body);
    case LlmDialect::kBedrock:
      return bedrock_request(body);
  }
  return failure(Error::kInternal, "a dialect that nobody reads");
}

Result<void> read_answer(LlmDialect dialect, std::string_view body, AnswerBuilder& into) {
  switch (dialect) {
    case LlmDialect::kOpenAiChat:
      return read_openai_chat(body, into);
    case LlmDialect::kOpenAiOther:
      return read_openai_other(body, into);
    case LlmDialect::kOpenAiMedia:
      return read_openai_media(body, into);
    case LlmDialect::kOpenAiResponses:
      return read_openai_responses(body, into);
    case LlmDialect::kAnthropic:
      return read_anthropic(body, into);
    case LlmDialect::kGemini:
      return read_gemini(body, into);
    case LlmDialect::kBedrock:
      return read_bedrock(body, into);
  }
  return failure(Error::kInternal, "a dialect that nobody reads");
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

std::string gemini_error(const LlmError& error) {
  return fmt::format(
      R"({{"error":{{"code":{},"message":{},"status":"{}","details":[{{)"
      R"("@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{}","domain":"gatehouse",)"
      R"("metadata":{{"rule":{}}}}}]}}}})",
      error.status, json_quoted(error.message), google_status(error.status), error.label,
      json_quoted(error.rule));
}

std::string_view aws_type(int status) {
  switch (status) {
    case 400:
    case 413:
      return "ValidationException";
    case 401:
    case 403:
      return "AccessDeniedException";
    case 404:
      return "ResourceNotFoundException";
    case 429:
      return "ThrottlingException";
    case 503:
      return "ServiceUnavailableException";
    default:
      return "InternalServerException";
  }
}

std::string bedrock_error(const LlmError& error) {
  return fmt::format(R"({{"__type":"{}","message":{},"gatehouse_error":"{}","rule":{}}})",
                     aws_type(error.status), json_quoted(error.message), error.label,
                     error.rule.empty() ? "null" : json_quoted(error.rule));
}

}  // namespace

Result<LlmRequest> LlmRequest::parse(const LlmEndpoint& endpoint, std::string_view body,
                                     const KnownJson& known) {
  LlmRequest request = TRY(read_request(endpoint, {body, known}));
  if (!endpoint.model.empty()) request.model = endpoint.model;
  if (request.model.empty() && endpoint.needs_model()) return wrong_type("model", "a string");
  if (endpoint.streams) request.stream = true;
  return request;
}

Result<LlmRequest> LlmRequest::parse_form(const LlmEndpoint& endpoint,
                                          std::string_view content_type, std::string_view body) {
  if (!endpoint.takes_forms()) return failure(Error::kInvalid, "a form where JSON is meant");
  LlmRequest request = TRY(openai_media_form(endpoint.operation, content_type, body));
  if (!endpoint.model.empty()) request.model = endpoint.model;
  if (request.model.empty() && endpoint.needs_model()) return wrong_type("model", "a string");
  return request;
}

Usage LlmAnswer::usage_or_estimate(std::size_t request_bytes) const {
  // Some dialects say in the middle what it has come to so far.
  if (usage && (is_complete || !finish_reason.empty())) return *usage;
  std::size_t out = text.size() + reasoning.size();
  for (const LlmToolCall& call : tool_calls) out += call.name.size() + call.arguments.size();
  Usage estimate;
  estimate.input = estimate_tokens(request_bytes);
  estimate.output = estimate_tokens(out);
  estimate.reasoning = estimate_tokens(reasoning.size());
  estimate.is_estimated = true;
  if (usage) {
    const std::int64_t counted = estimate.output;
    estimate = *usage;
    estimate.output = std::max(estimate.output, counted);
    estimate.is_estimated = true;
  }
  return estimate;
}

std::string json_of(const std::vector<LlmMessage>& messages) {
  JsonWriter writer;
  writer.begin_array();
  for (const LlmMessage& message : messages) {
    writer.begin_object().key("role").string(message.role);
    writer.key("text").string(message.text).end_object();
  }
  return std::move(writer.end_array()).text();
}

std::string json_of(const std::vector<LlmToolCall>& calls) {
  JsonWriter writer;
  writer.begin_array();
  for (const LlmToolCall& call : calls) {
    writer.begin_object().key("id").string(call.id).key("name").string(call.name);
    writer.key("arguments").string(call.arguments);
    if (call.at_provider) writer.key("at_provider").boolean(true);
    writer.end_object();
  }
  return std::move(writer.end_array()).text();
}

struct LlmAnswerReader::Event {
  std::string_view raw;
  std::string_view data;
  bool has_data = true;
  std::string_view message_type;  // of a frame
  std::string_view type;
};

struct LlmAnswerReader::State {
  AnswerBuilder builder;
  // What the events said that are not read yet.
  struct Later {
    std::string message_type;
    std::string type;
    std::string data;
  };
  std::vector<Later> later;
  std::size_t later_bytes = 0;
  std::variant<SseParser, JsonArrayParser, EventStreamParser> events;

  [[nodiscard]] std::string_view unfinished() const {
    return std::visit([](const auto& parser) { return parser.unfinished(); }, events);
  }
  struct Progress {
    std::size_t consumed = 0;
    std::optional<Event> event;
  };
  Result<Progress> feed(std::string_view input) {
    return std::visit([&](auto& parser) { return next(parser, input); }, events);
  }

 private:
  template <class Parser>
  static Result<Progress> next(Parser& parser, std::string_view input) {
    const auto progress = TRY(parser.feed(input));
    if (!progress.event) return Progress{progress.consumed, std::nullopt};
    Event event{.raw = progress.event->raw, .data = progress.event->data};
    if constexpr (requires { progress.event->has_data; }) {
      event.has_data = progress.event->has_data;
    }
    if constexpr (requires { progress.event->message_type; }) {
      event.message_type = progress.event->message_type;
      event.type = progress.event->type;
    }
    return Progress{progress.consumed, event};
  }
};

LlmAnswerReader::LlmAnswerReader(const LlmEndpoint& endpoint, Form form, bool hides_usage)
    : dialect_(endpoint.dialect),
      form_(form),
      hides_usage_(hides_usage && form == Form::kEvents),
      state_(std::make_unique<State>()) {
  if (form == Form::kJsonArray) {
    state_->events.emplace<JsonArrayParser>(kMaxEvent);
  } else if (form == Form::kFrames) {
    state_->events.emplace<EventStreamParser>(kMaxEvent);
  } else {
    state_->events.emplace<SseParser>(kMaxEvent);
  }
}
LlmAnswerReader::LlmAnswerReader(LlmAnswerReader&&) noexcept = default;
LlmAnswerReader& LlmAnswerReader::operator=(LlmAnswerReader&&) noexcept = default;
LlmAnswerReader::~LlmAnswerReader() = default;

LlmAnswerReader::Form LlmAnswerReader::form_of(const LlmEndpoint& endpoint,
                                               std::string_view content_type) {
  if (content_type.starts_with("text/event-stream")) return Form::kEvents;
  if (content_type.starts_with("application/vnd.amazon.eventstream")) return Form::kFrames;
  const bool is_array = endpoint.dialect == LlmDialect::kGemini && endpoint.streams;
  return is_array ? Form::kJsonArray : Form::kWhole;
}

std::string_view LlmAnswerReader::feed(std::string_view piece) {
  if (is_broken_) return piece;
  if (form_ == Form::kMessages) {
    read_event({.raw = piece, .data = piece});
    return piece;
  }
  out_.clear();
  direct_ = {};
  for (std::string_view rest = piece; !rest.empty();) {
    const auto progress = state_->feed(rest);
    if (!progress) {
      is_broken_ = true;  // it is relayed all the same; only the reading ends
      give(state_->unfinished().substr(given_on_), piece);
      give(rest, piece);
      break;
    }
    rest.remove_prefix(progress->consumed);
    if (!progress->event) break;
    put_off(*progress->event);
    if (!is_hidden(*progress->event)) give(progress->event->raw.substr(given_on_), piece);
    given_on_ = 0;
  }
  // The LF of the CR LF that ended an event counts as the next one's, but shall not wait for it.
  if (form_ == Form::kEvents && given_on_ == 0 && state_->unfinished().starts_with('\n')) {
    give(state_->unfinished().substr(0, 1), piece);
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
  out_ = state_->unfinished().substr(given_on_);
  given_on_ = 0;
  return out_;
}

bool LlmAnswerReader::is_hidden(const Event& event) const {
  return hides_usage_ && event.has_data && is_usage_chunk(event.data);
}

// The event is a view of what is here now.
void LlmAnswerReader::put_off(const Event& event) {
  if (!event.has_data) return;
  state_->later.push_back(
      {std::string(event.message_type), std::string(event.type), std::string(event.data)});
  state_->later_bytes += event.data.size();
  if (state_->later_bytes > kPutOffMost) catch_up();
}

void LlmAnswerReader::catch_up() {
  for (const State::Later& one : state_->later) {
    read_event(
        {.data = one.data, .has_data = true, .message_type = one.message_type, .type = one.type});
  }
  state_->later.clear();
  state_->later_bytes = 0;
}

// What an event that is none of the dialect's says is in the raw bytes.
void LlmAnswerReader::read_event(const Event& event) {
  if (!event.has_data) return;
  AnswerBuilder& into = state_->builder;
  switch (dialect_) {
    case LlmDialect::kOpenAiChat:
      return static_cast<void>(read_openai_chat_event(event.data, into));
    case LlmDialect::kOpenAiOther:
      return static_cast<void>(read_openai_other_event(event.data, into));
    case LlmDialect::kOpenAiMedia:
      return static_cast<void>(read_openai_media_event(event.data, into));
    case LlmDialect::kOpenAiResponses:
      return static_cast<void>(read_openai_responses_event(event.data, into));
    case LlmDialect::kAnthropic:
      return static_cast<void>(read_anthropic_event(event.data, into));
    case LlmDialect::kGemini:
      return static_cast<void>(read_gemini(event.data, into));
    case LlmDialect::kBedrock:
      return static_cast<void>(
          read_bedrock_event(event.message_type, event.type, event.data, into));
  }
}

Result<void> LlmAnswerReader::read_whole(std::string_view body) {
  const Result<void> read = read_answer(dialect_, body, state_->builder);
  if (!read) return as_upstream(read.error());
  return {};
}

const LlmAnswer& LlmAnswerReader::answer() {
  catch_up();
  return state_->builder.answer;
}

std::string LlmAnswerReader::error_event(const LlmError& error) {
  catch_up();
  switch (dialect_) {
    case LlmDialect::kOpenAiChat:
    case LlmDialect::kOpenAiOther:
    case LlmDialect::kOpenAiMedia:
      return fmt::format("data: {}\n\n", openai_error(error));
    case LlmDialect::kOpenAiResponses:
      return fmt::format(
          "event: error\ndata: {{\"type\":\"error\",\"code\":\"gatehouse_{}\",\"message\":{},"
          "\"param\":null,\"sequence_number\":{}}}\n\n",
          error.label, json_quoted(error.message), state_->builder.sequence + 1);
    case LlmDialect::kAnthropic:
      return fmt::format("event: error\ndata: {}\n\n", anthropic_error(error));
    case LlmDialect::kGemini: {
      if (form_ != Form::kJsonArray) return fmt::format("data: {}\n\n", gemini_error(error));
      const bool has_begun = std::get<JsonArrayParser>(state_->events).has_begun();
      return (has_begun ? "," : "[") + gemini_error(error);
    }
    case LlmDialect::kBedrock:
      return event_stream_frame({{":message-type", "exception"},
                                 {":exception-type", "modelStreamErrorException"},
                                 {":content-type", "application/json"}},
                                bedrock_error(error));
  }
  return "";
}

std::string llm_error_json(LlmProvider provider, const LlmError& error) {
  switch (provider) {
    case LlmProvider::kAnthropic:
      return anthropic_error(error);
    case LlmProvider::kGemini:
      return gemini_error(error);
    case LlmProvider::kBedrock:
      return bedrock_error(error);
    case LlmProvider::kOpenAi:
    case LlmProvider::kAzureOpenAi:
      break;
  }
  return openai_error(error);
}

std::int64_t estimate_tokens(std::size_t bytes) {
  return static_cast<std::int64_t>(bytes / 2 + bytes % 2);
}

}  // namespace gatehouse::wire
