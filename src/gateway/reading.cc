// SPDX-License-Identifier: Apache-2.0
#include "gateway/reading.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "audit/read_again.h"
#include "gateway/card.h"
#include "gateway/model_list.h"
#include "gateway/record.h"
#include "wire/jsonrpc.h"
#include "wire/llm_models.h"
#include "wire/mcp.h"

namespace gatehouse::gateway {
namespace {

constexpr std::size_t kKeptMost = 16 * 1024 * 1024;  // of a body, in the log
constexpr std::size_t kCardMost = 1024 * 1024;
constexpr std::size_t kListMost = 8 * 1024 * 1024;  // of models: routers have thousands

bool is_billed(wire::LlmOperation operation) {
  return operation != wire::LlmOperation::kCountTokens
         && operation != wire::LlmOperation::kModeration;
}

}  // namespace

Reading::~Reading() {
  if (!request_.empty()) intent_.add_body("request", request_);
  if (!answer_.empty()) has_answer_ = intent_.add_body("response", answer_);
  intent_.tag("bytes.response", std::to_string(answer_bytes_));
  if (request_bytes_ > request_.size()) intent_.tag("request.truncated", "true");
  if (answer_bytes_ > answer_.size()) intent_.tag("response.truncated", "true");
  tell_unanswered();
  if (const auto* llm = std::get_if<LlmCall>(&of_.call)) tell_llm(*llm);
  if (const auto* tool = std::get_if<ToolCall>(&of_.call)) tell_tool(*tool);
  if (agent_) tell_agent();
}

void Reading::begin(const wire::ResponseHead& head) {
  const std::string type(head.headers.find("content-type").value_or(""));
  is_stream_ = type.starts_with("text/event-stream");
  if (const auto* agent = std::get_if<AgentCall>(&of_.call)) {
    agent_ = std::make_unique<wire::A2aAnswerReader>(agent->request.binding);
    const bool is_card = head.status == 200 && wire::answers_with_card(agent->request.operation);
    if (is_card) held_ = std::make_unique<Held>();
  }
  if (is_stream_ && std::holds_alternative<ToolCall>(of_.call)) {
    events_ = std::make_unique<wire::SseParser>();
  }
  if (auto aliases = listed_aliases(of_); head.status == 200 && !aliases.empty()) {
    held_ = std::make_unique<Held>(Held{.aliases = std::move(aliases)});
  }
  const auto* llm = std::get_if<LlmCall>(&of_.call);
  if (llm == nullptr || head.status < 200 || head.status >= 300) return;
  const auto form = wire::LlmAnswerReader::form_of(llm->endpoint, type);
  is_stream_ = form != wire::LlmAnswerReader::Form::kWhole;
  model_.emplace(llm->endpoint, form, hides_usage_);
}

void Reading::book_unanswered() {
  const auto* const llm = std::get_if<LlmCall>(&of_.sent_call());
  if (llm == nullptr || !is_billed(llm->endpoint.operation)) return;
  if (llm->endpoint.dialect == wire::LlmDialect::kOpenAiMedia) return;  // its bytes tell nothing
  const wire::Usage usage{.input = wire::estimate_tokens(llm->input_bytes), .is_estimated = true};
  const auto cost = of_.rulebook->prices().cost(*of_.aim.service, "", llm->request.model, usage);
  const auto micro_usd = cost ? std::optional(cost->micro_usd) : std::nullopt;
  if (!unanswered_) unanswered_ = std::make_unique<Unanswered>();
  ++unanswered_->attempts;
  unanswered_->input_tokens += usage.input;
  auto& sum = unanswered_->micro_usd;
  sum = sum && micro_usd ? std::optional(*sum + *micro_usd) : std::nullopt;
  if (const auto provider = provider_of(of_.aim.service->kind)) {
    of_.gate->counters.models.count(*provider, usage, micro_usd);
  }
}

void Reading::tell_unanswered() {
  if (!unanswered_) return;
  intent_.tag("unanswered.attempts", std::to_string(unanswered_->attempts));
  intent_.tag("unanswered.tokens.input", std::to_string(unanswered_->input_tokens));
  if (unanswered_->micro_usd) {
    intent_.tag("unanswered.cost.micro_usd", std::to_string(*unanswered_->micro_usd));
  }
}

void Reading::begin_messages() {
  is_stream_ = true;
  is_messages_ = true;
  model_.emplace(std::get<LlmCall>(of_.call).endpoint, wire::LlmAnswerReader::Form::kMessages);
}

void Reading::sent(std::string_view payload) {
  keep(payload, request_, request_bytes_);
  request_bytes_ += payload.size();
}

std::string_view Reading::take(std::string_view payload) {
  if (held_) {
    hold(payload);
    return {};
  }
  if (model_ && is_stream_) {
    payload = model_->feed(payload);
    if (first_token_ == Nanos(0)) note_beginning();
  }
  if (agent_ && is_stream_) payload = agent_->feed(payload);
  keep(payload);
  if (is_messages_) keep("\n");
  if (events_) read_events(payload);
  return payload;
}

// What comes first may be a ping, or an event that tells of the answer and is none of it.
void Reading::note_beginning() {
  const Nanos since = of_.gate->loop.now() - of_.began;
  if (first_chunk_ == Nanos(0)) first_chunk_ = since;
  const wire::LlmAnswer& answer = upstreams_ == nullptr ? model_->answer() : *upstreams_;
  if (answer.text.empty() && answer.reasoning.empty() && answer.tool_calls.empty()) return;
  first_token_ = since;
  of_.gate->counters.llm_first_token_time.observe(since);
}

std::string_view Reading::finish() {
  if ((!model_ && !agent_) || !is_stream_) return {};
  const std::string_view rest = model_ ? model_->finish() : agent_->finish();
  keep(rest);
  return rest;
}

// What cannot be held whole is not held at all.
void Reading::hold(std::string_view payload) {
  if (held_->why_not) return;
  const bool is_card = held_->aliases.empty();
  const std::size_t most = is_card ? kCardMost : kListMost;
  if (held_->text.size() + payload.size() > most) {
    held_->why_not.emplace(Error::kTooLarge,
                           fmt::format("the {} has more than {} bytes",
                                       is_card ? "agent's card" : "list of models", most));
  } else if (!kept_.grow(payload.size())) {
    held_->why_not.emplace(Error::kExhausted,
                           "the exchanges under way take all the memory that the gateway has for "
                           "bodies; try again");
  } else {
    held_->text += payload;
  }
  if (held_->why_not) held_->text.clear();
}

Result<std::string> Reading::edited() {
  if (held_->why_not) return Failure(*held_->why_not);
  if (!held_->aliases.empty()) {
    // One that is not as the dialect has it goes on as it came.
    auto list = wire::models_with(*of_.endpoint, held_->text, held_->aliases);
    std::string text = list ? *std::move(list) : std::move(held_->text);
    keep(text);
    return text;
  }
  intent_.add_body("a2a.card", held_->text);
  wire::A2aCard card = TRY(card_for_agent(of_, held_->text));
  if (card.had_signatures) intent_.tag("a2a.signatures", "dropped");
  if (!card.left_out.empty()) {
    const std::string left_out = fmt::format("{}", fmt::join(card.left_out, " "));
    intent_.tag("a2a.left_out", std::string_view(left_out).substr(0, 1024));
  }
  keep(card.text);
  return std::move(card.text);
}

std::string Reading::error_event(const Error& error) {
  if (agent_ && is_stream_ && agent_->is_between_events()) {
    std::string event = agent_->error_event(std::get<AgentCall>(of_.call).request.id, {error, ""});
    keep(event);
    return event;
  }
  if (!model_ || !is_stream_ || !model_->is_between_events()) return "";
  const ErrorRow& row = row_of(error.code());
  std::string event = model_->error_event({row.http_status, row.label, "", error.message()});
  keep(event);
  return event;
}

void Reading::keep(std::string_view payload) {
  keep(payload, answer_, answer_bytes_);
  answer_bytes_ += payload.size();
}

// The beginning of a body, without a gap: after a piece for which there was no room none is kept.
void Reading::keep(std::string_view payload, std::string& in, std::uint64_t before) {
  if (in.size() != before || in.size() + payload.size() > kKeptMost) return;
  if (kept_.grow(payload.size())) in += payload;
}

void Reading::read_events(std::string_view payload) {
  while (!payload.empty()) {
    const Result<wire::SseProgress> progress = events_->feed(payload);
    if (!progress) {
      events_.reset();  // it is relayed all the same; only the reading ends
      return;
    }
    payload.remove_prefix(progress->consumed);
    if (!progress->event) return;
    // The last message of the stream is the response.
    if (progress->event->has_data) tool_answer_ = progress->event->data;
  }
}

void Reading::tell_llm(const LlmCall& call) {
  if (!model_) return;  // nothing was answered that would have cost a token
  // What an answer that cannot be read says is in the raw bytes.
  const bool is_read = !is_stream_ && model_->read_whole(answer_).has_value();
  const wire::LlmAnswer& answer = upstreams_ == nullptr ? model_->answer() : *upstreams_;
  if (is_stream_) intent_.tag("llm.complete", answer.is_complete ? "true" : "false");
  // Whoever reads the record finds it in a response that is whole, too.
  if (is_read && has_answer_ && upstreams_ == nullptr && answer_bytes_ == answer_.size()
      && !of_.socket && of_.path.size() <= kPathMost) {
    intent_.tag(audit::kAnswerIn, "response");
  } else {
    tell_said(answer);
  }
  const auto tag = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) intent_.tag(key, std::string_view(value).substr(0, 256));
  };
  tag("llm.finish_reason", answer.finish_reason);
  tag("llm.response_id", answer.id);
  tag("llm.response_model", answer.model);
  tag("llm.error", answer.error);
  const auto tag_time = [&](std::string_view key, Nanos since) {
    if (since != Nanos(0)) intent_.tag(key, std::to_string(since.count() / 1000));
  };
  tag_time("llm.first_chunk_us", first_chunk_);
  tag_time("llm.first_token_us", first_token_);
  if (is_billed(call.endpoint.operation)) tell_usage(call, answer);
}

void Reading::tell_said(const wire::LlmAnswer& answer) {
  if (!answer.text.empty()) intent_.add_body("llm.text", answer.text);
  if (!answer.reasoning.empty()) intent_.add_body("llm.reasoning", answer.reasoning);
  if (!answer.tool_calls.empty()) {
    intent_.add_body("llm.tool_calls", wire::json_of(answer.tool_calls));
  }
}

void Reading::tell_usage(const LlmCall& call, const wire::LlmAnswer& answer) {
  // Of an image or a sound bytes tell nothing of tokens: what the provider does not say is unknown.
  if (call.endpoint.dialect == wire::LlmDialect::kOpenAiMedia && !answer.usage) {
    if (answer.audio_seconds > 0) {
      intent_.tag("audio.seconds", std::to_string(answer.audio_seconds));
    }
    return tell_cost(answer, std::nullopt);
  }
  const wire::Usage usage = answer.usage_or_estimate(call.input_bytes);
  const auto count = [&](std::string_view key, std::int64_t tokens) {
    intent_.tag(key, std::to_string(tokens));
  };
  const auto count_any = [&](std::string_view key, std::int64_t tokens) {
    if (tokens != 0) count(key, tokens);
  };
  count("tokens.input", usage.input);
  count("tokens.output", usage.output);
  if (usage.is_estimated) intent_.tag("tokens.estimated", "true");
  count("tokens.cached", usage.cache_read);
  count_any("tokens.cache_write_5m", usage.cache_write_5m);
  count_any("tokens.cache_write_1h", usage.cache_write_1h);
  count_any("tokens.input_audio", usage.input_audio);
  count("tokens.reasoning", usage.reasoning);
  count_any("tokens.output_audio", usage.output_audio);
  tell_cost(answer, usage);
}

void Reading::tell_cost(const wire::LlmAnswer& answer, const std::optional<wire::Usage>& used) {
  const std::string& asked_for = std::get<LlmCall>(of_.sent_call()).request.model;
  const wire::Usage usage = used.value_or(wire::Usage());
  const auto cost =
      used ? of_.rulebook->prices().cost(*of_.aim.service, answer.model, asked_for, usage)
           : std::nullopt;
  const std::optional<std::int64_t> micro_usd =
      cost ? std::optional(cost->micro_usd) : std::nullopt;
  if (const auto provider = provider_of(of_.aim.service->kind)) {
    of_.gate->counters.models.count(*provider, usage, micro_usd);
  }
  if (!cost) return intent_.tag("cost.unknown", "true");
  intent_.tag("cost.micro_usd", std::to_string(cost->micro_usd));
  intent_.tag("cost.prices", cost->origin);
}

void Reading::tell_tool(const ToolCall& call) {
  if (call.method != "tools/call") return;
  const auto message = wire::JsonRpcMessage::parse(is_stream_ ? tool_answer_ : answer_);
  if (!message) return;
  const auto result = wire::McpToolResult::of(*message);
  if (!result) return;
  intent_.tag("tool.is_error", result->is_error ? "true" : "false");
  if (!result->text.empty()) intent_.add_body("tool.result", result->text);
}

void Reading::tell_agent() {
  if (!is_stream_) agent_->read_whole(answer_);
  const wire::A2aAnswer& answer = agent_->answer();
  const auto tag = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) intent_.tag(key, std::string_view(value).substr(0, 256));
  };
  tag("a2a.task", answer.task);
  tag("a2a.context", answer.context);
  tag("a2a.state", answer.state);
  tag("a2a.error", answer.error);
  if (!answer.text.empty()) intent_.add_body("a2a.answer", answer.text);
}

}  // namespace gatehouse::gateway
