// SPDX-License-Identifier: Apache-2.0
// The answer's side: a chat completion, whole or in chunks, out of what a provider says.
#include "wire/translation.h"

#include <optional>
#include <variant>

#include <fmt/format.h>

#include "base/encoding.h"
#include "wire/llm_parts.h"
#include "wire/sse.h"
#include "wire/translation_chat.h"

namespace gatehouse::wire {
namespace {

constexpr std::size_t kMaxEvent = 16 * 1024 * 1024;

void write_usage(JsonWriter& out, const Usage& usage) {
  out.key("usage").begin_object().key("prompt_tokens").integer(usage.input);
  out.key("completion_tokens").integer(usage.output);
  out.key("total_tokens").integer(saturated_sum(usage.input, usage.output));
  out.key("prompt_tokens_details").begin_object();
  out.key("cached_tokens").integer(usage.cache_read);
  out.key("audio_tokens").integer(usage.input_audio).end_object();
  out.key("completion_tokens_details").begin_object();
  out.key("reasoning_tokens").integer(usage.reasoning);
  out.key("audio_tokens").integer(usage.output_audio).end_object().end_object();
}

void write_thinking_block(JsonWriter& out, const ChatThinking& block) {
  out.begin_object().key("type");
  if (block.redacted.empty()) {
    out.string("thinking").key("thinking").string(block.text);
    out.key("signature").string(block.signature);
  } else {
    out.string("redacted_thinking").key("data").string(block.redacted);
  }
  out.end_object();
}

void write_signature(JsonWriter& out, std::string_view signature) {
  if (signature.empty()) return;
  out.key("extra_content").begin_object().key("google").begin_object();
  out.key("thought_signature").string(signature).end_object().end_object();
}

// One choice, put together.
class WholeChat final : public ChatSink {
 public:
  void text(std::string_view part) override { text_ += part; }
  void reasoning(std::string_view part) override { reasoning_ += part; }
  void thinking(const ChatThinking& block) override { thinking_.push_back(block); }
  void begin_tool(std::string_view id, std::string_view name, std::string_view signature) override {
    calls_.push_back({std::string(id), std::string(name), "", std::string(signature)});
  }
  void tool_arguments(std::string_view part) override { calls_.back().arguments += part; }
  void finished(std::string_view reason) override { reason_ = reason; }

  [[nodiscard]] std::string json(const LlmAnswer& answer, std::int64_t created_unix_s) const {
    JsonWriter out;
    out.begin_object().key("id").string(answer.id).key("object").string("chat.completion");
    out.key("created").integer(created_unix_s).key("model").string(answer.model);
    out.key("choices").begin_array().begin_object().key("index").integer(0).key("message");
    write_message(out);
    out.key("logprobs").null().key("finish_reason").string(reason_).end_object().end_array();
    if (answer.usage) write_usage(out, *answer.usage);
    return std::move(out.end_object()).text();
  }

 private:
  void write_message(JsonWriter& out) const {
    out.begin_object().key("role").string("assistant").key("content");
    if (text_.empty() && !calls_.empty()) {
      out.null();
    } else {
      out.string(text_);
    }
    out.key("refusal").null();
    if (!reasoning_.empty()) out.key("reasoning_content").string(reasoning_);
    if (!thinking_.empty()) {
      out.key("thinking_blocks").begin_array();
      for (const ChatThinking& block : thinking_) write_thinking_block(out, block);
      out.end_array();
    }
    if (!calls_.empty()) {
      out.key("tool_calls").begin_array();
      for (const ChatToolCall& call : calls_) {
        out.begin_object().key("id").string(call.id).key("type").string("function");
        out.key("function").begin_object().key("name").string(call.name);
        out.key("arguments").string(call.arguments).end_object();
        write_signature(out, call.signature);
        out.end_object();
      }
      out.end_array();
    }
    out.end_object();
  }

  std::string text_;
  std::string reasoning_;
  std::string reason_;
  std::vector<ChatThinking> thinking_;
  std::vector<ChatToolCall> calls_;
};

// One choice, in chunks.
class ChatChunks final : public ChatSink {
 public:
  ChatChunks(const LlmAnswer& answer, std::int64_t created_unix_s)
      : answer_(answer), created_unix_s_(created_unix_s) {}

  void text(std::string_view part) override {
    chunk([part](JsonWriter& delta) { delta.key("content").string(part); });
  }
  void reasoning(std::string_view part) override {
    chunk([part](JsonWriter& delta) { delta.key("reasoning_content").string(part); });
  }
  void thinking(const ChatThinking& block) override {
    chunk([&block](JsonWriter& delta) {
      delta.key("thinking_blocks").begin_array();
      write_thinking_block(delta, block);
      delta.end_array();
    });
  }
  void begin_tool(std::string_view id, std::string_view name, std::string_view signature) override {
    ++calls_;
    chunk([&](JsonWriter& delta) {
      delta.key("tool_calls").begin_array().begin_object().key("index").integer(calls_ - 1);
      delta.key("id").string(id).key("type").string("function").key("function").begin_object();
      delta.key("name").string(name).key("arguments").string("").end_object();
      write_signature(delta, signature);
      delta.end_object().end_array();
    });
  }
  void tool_arguments(std::string_view part) override {
    chunk([&](JsonWriter& delta) {
      delta.key("tool_calls").begin_array().begin_object().key("index").integer(calls_ - 1);
      delta.key("function").begin_object().key("arguments").string(part).end_object();
      delta.end_object().end_array();
    });
  }
  void finished(std::string_view reason) override {
    chunk([](JsonWriter&) {}, reason);
  }
  void usage() {
    JsonWriter out = begun();
    out.key("choices").begin_array().end_array();
    write_usage(out, answer_.usage.value_or(Usage{}));
    give(std::move(out.end_object()).text());
  }
  void done() { out_ += "data: [DONE]\n\n"; }
  // What a proxy on the way would else take for silence.
  void keep_alive() { out_ += ": keep-alive\n\n"; }
  [[nodiscard]] std::string take() { return std::exchange(out_, {}); }

 private:
  [[nodiscard]] JsonWriter begun() const {
    JsonWriter out;
    out.begin_object().key("id").string(answer_.id).key("object").string("chat.completion.chunk");
    out.key("created").integer(created_unix_s_).key("model").string(answer_.model);
    return out;
  }
  template <class F>
  void chunk(F write_delta, std::string_view reason = "") {
    JsonWriter out = begun();
    out.key("choices").begin_array().begin_object().key("index").integer(0);
    out.key("delta").begin_object();
    if (!has_begun_) out.key("role").string("assistant");
    has_begun_ = true;
    write_delta(out);
    out.end_object().key("logprobs").null().key("finish_reason");
    if (reason.empty()) {
      out.null();
    } else {
      out.string(reason);
    }
    out.end_object().end_array();
    give(std::move(out.end_object()).text());
  }
  void give(std::string_view json) { out_.append("data: ").append(json).append("\n\n"); }

  const LlmAnswer& answer_;
  std::int64_t created_unix_s_;
  std::int64_t calls_ = 0;
  bool has_begun_ = false;
  std::string out_;
};

Error as_upstream(const Error& error) {
  return error == Error::kUpstream ? error : Error(Error::kUpstream, error.message());
}

}  // namespace

struct AnswerTranslation::State {
  State(TranslatedTo from, std::int64_t created_unix_s, bool wants_usage)
      : created_unix_s(created_unix_s),
        wants_usage(wants_usage),
        chunks(builder.answer, created_unix_s) {
    if (from == TranslatedTo::kGemini) reader.emplace<GeminiToChat>();
  }

  Result<void> whole(std::string_view body, ChatSink& into) {
    if (auto* const gemini = std::get_if<GeminiToChat>(&reader)) {
      TRY(read_gemini(body, builder));
      TRY(gemini->event(body, into));
      if (gemini->has_ended()) return {};
      return failure(Error::kUpstream, "the answer does not say why it ended");
    }
    TRY(read_anthropic(body, builder));
    return std::get<AnthropicToChat>(reader).whole(body, into);
  }
  Result<void> event(const SseEvent& event) {
    if (!event.has_data) {
      chunks.keep_alive();
      return {};
    }
    return std::visit([&](auto& one) { return one.event(event.data, chunks); }, reader);
  }
  // Reads what the chunks' heads and the usage say, before the chunks are made.
  Result<void> read(const SseEvent& event) {
    if (!event.has_data) return {};
    return std::holds_alternative<GeminiToChat>(reader) ? read_gemini(event.data, builder)
                                                        : read_anthropic_event(event.data, builder);
  }
  [[nodiscard]] bool has_ended() const {
    return std::visit([](const auto& one) { return one.has_ended(); }, reader);
  }

  std::int64_t created_unix_s;
  bool wants_usage;
  AnswerBuilder builder;
  std::variant<AnthropicToChat, GeminiToChat> reader;
  ChatChunks chunks;
  SseParser events{kMaxEvent};
  std::optional<Error> failed;
};

Result<TranslatedRequest> translated_request(TranslatedTo to, std::string_view chat,
                                             std::string_view model, std::int64_t max_tokens) {
  const ChatRequest request = TRY(ChatRequest::parse(chat));
  return to == TranslatedTo::kAnthropic ? anthropic_from_chat(request, model, max_tokens)
                                        : gemini_from_chat(request, model);
}

AnswerTranslation::AnswerTranslation(TranslatedTo from, std::int64_t created_unix_s,
                                     bool wants_usage)
    : state_(std::make_unique<State>(from, created_unix_s, wants_usage)) {}
AnswerTranslation::AnswerTranslation(AnswerTranslation&&) noexcept = default;
AnswerTranslation& AnswerTranslation::operator=(AnswerTranslation&&) noexcept = default;
AnswerTranslation::~AnswerTranslation() = default;

Result<std::string> AnswerTranslation::whole(std::string_view body) {
  WholeChat chat;
  const Result<void> read = state_->whole(body, chat);
  if (!read) return Failure(as_upstream(read.error()));
  return chat.json(state_->builder.answer, state_->created_unix_s);
}

Result<std::string> AnswerTranslation::feed(std::string_view piece) {
  if (state_->failed) return Failure(*state_->failed);
  while (!piece.empty()) {
    const auto step = [&]() -> Result<void> {
      const SseProgress progress = TRY(state_->events.feed(piece));
      piece.remove_prefix(progress.consumed);
      if (!progress.event) return {};
      // An error event is told by the reader of events, in words.
      (void)state_->read(*progress.event);
      return state_->event(*progress.event);
    };
    const Result<void> done = step();
    if (done) continue;
    // What came before it is the caller's all the same: it is given first, the error the next time.
    state_->failed = as_upstream(done.error());
    std::string before = state_->chunks.take();
    if (before.empty()) return Failure(*state_->failed);
    return before;
  }
  return state_->chunks.take();
}

Result<std::string> AnswerTranslation::finish() {
  if (state_->failed) return Failure(*state_->failed);
  if (!state_->has_ended()) {
    state_->failed = Error(Error::kUpstream, "the provider's answer broke off before its end");
    return Failure(*state_->failed);
  }
  if (state_->wants_usage) state_->chunks.usage();
  state_->chunks.done();
  return state_->chunks.take();
}

const LlmAnswer& AnswerTranslation::answer() const { return state_->builder.answer; }

std::string translated_error(TranslatedTo from, int status, std::string_view body) {
  std::string message = fmt::format("the provider answered {}", status);
  std::string type = status >= 500 ? "server_error" : "invalid_request_error";
  if (const auto object = scan_object(body)) {
    const auto error = inner(*object, "error");
    if (error && error->string("message")) message = *error->string("message");
    // "overloaded_error" of Anthropic's, "RESOURCE_EXHAUSTED" of Google's.
    const std::string_view key = from == TranslatedTo::kAnthropic ? "type" : "status";
    if (error && error->string(key)) type = *error->string(key);
  }
  return fmt::format(R"({{"error":{{"message":{},"type":{},"param":null,"code":null}}}})",
                     json_quoted(message), json_quoted(type));
}

}  // namespace gatehouse::wire
