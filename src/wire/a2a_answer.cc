// SPDX-License-Identifier: Apache-2.0
#include "wire/a2a_answer.h"

#include <fmt/format.h>

#include <algorithm>

#include "wire/a2a_json.h"
#include "wire/characters.h"

namespace gatehouse::wire {
namespace {

constexpr std::size_t kTextMost = 256 * 1024;

// 1.0 has protobuf's names: TASK_STATE_INPUT_REQUIRED.
std::string state_named(std::string_view state) {
  constexpr std::string_view kPrefix = "TASK_STATE_";
  if (!state.starts_with(kPrefix)) return std::string(state.substr(0, 64));
  std::string out = lowered(state.substr(kPrefix.size(), 64));
  std::ranges::replace(out, '_', '-');
  return out;
}

void take_string(std::string& into, const JsonObject& from, std::string_view key) {
  if (auto value = from.string(key); value && !value->empty()) into = *std::move(value);
}

std::optional<JsonObject> object_at(const JsonObject& in, std::string_view key) {
  const JsonValue* const value = in.find(key);
  if (value == nullptr || !value->is(JsonType::kObject)) return std::nullopt;
  auto object = scan_object(value->raw);
  return object ? std::optional(*std::move(object)) : std::nullopt;
}

}  // namespace

std::string_view A2aAnswerReader::feed(std::string_view piece) {
  if (is_broken_) return piece;
  out_.clear();
  while (!piece.empty()) {
    const auto progress = events_.feed(piece);
    if (!progress) {
      is_broken_ = true;  // it is relayed all the same; only the reading ends
      out_ += events_.unfinished().substr(given_on_);
      out_ += piece;
      return out_;
    }
    piece.remove_prefix(progress->consumed);
    if (!progress->event) break;
    if (progress->event->has_data) read_whole(progress->event->data);
    out_ += progress->event->raw.substr(given_on_);
    given_on_ = 0;
  }
  // The LF of the CR LF that ended an event counts as the next one's, but shall not wait for it.
  if (given_on_ == 0 && events_.unfinished().starts_with('\n')) {
    out_ += '\n';
    given_on_ = 1;
  }
  return out_;
}

std::string_view A2aAnswerReader::finish() {
  if (is_broken_) return {};
  out_ = events_.unfinished().substr(given_on_);
  given_on_ = 0;
  return out_;
}

void A2aAnswerReader::read_whole(std::string_view body) {
  const auto message = scan_object(body);
  if (!message) return;
  if (const auto error = object_at(*message, "error")) {
    answer_.error = error->string("message").value_or("an error without a message");
    return;
  }
  if (binding_ == A2aEndpoint::Binding::kHttpJson) return read_payload({JsonType::kObject, body});
  if (const JsonValue* const result = message->find("result")) read_payload(*result);
}

// 1.0 wraps what it tells by its kind; 0.3 tells the kind in it.
void A2aAnswerReader::read_payload(const JsonValue& value) {
  if (!value.is(JsonType::kObject)) return;
  const auto object = scan_object(value.raw);
  if (!object) return;
  for (const std::string_view wrapper : {"task", "message", "statusUpdate", "artifactUpdate"}) {
    if (object->members.size() != 1) break;
    if (const auto inner = object_at(*object, wrapper)) return read_thing(*inner);
  }
  read_thing(*object);
}

void A2aAnswerReader::read_thing(const JsonObject& thing) {
  const auto status = object_at(thing, "status");
  const JsonValue* const artifacts = thing.find("artifacts");
  if (status || artifacts != nullptr) take_string(answer_.task, thing, "id");  // a task itself
  take_string(answer_.task, thing, "taskId");
  take_string(answer_.context, thing, "contextId");
  read_texts(thing, false);
  if (status) read_status(*status);
  if (const auto artifact = object_at(thing, "artifact")) {
    const JsonValue* const append = thing.find("append");
    read_texts(*artifact, append != nullptr && append->boolean().value_or(false));
  }
  if (artifacts == nullptr || !artifacts->is(JsonType::kArray)) return;
  const auto list = scan_array(artifacts->raw);
  if (!list) return;
  for (const JsonValue& each : *list) {
    if (!each.is(JsonType::kObject)) continue;
    if (const auto artifact = scan_object(each.raw)) read_texts(*artifact, false);
  }
}

void A2aAnswerReader::read_status(const JsonObject& status) {
  if (const auto state = status.string("state")) answer_.state = state_named(*state);
  auto message = object_at(status, "message");
  if (!message) message = object_at(status, "update");  // as 0.3's HTTP+JSON calls it
  if (message) read_texts(*message, false);
}

// `continues`: it belongs to the artifact before it, not behind it.
void A2aAnswerReader::read_texts(const JsonObject& of, bool continues) {
  std::string text;
  append_parts(text, of);
  if (text.empty() || answer_.text.size() >= kTextMost) return;
  if (!answer_.text.empty() && !continues) answer_.text += '\n';
  std::size_t size = std::min(text.size(), kTextMost - answer_.text.size());
  while (size > 0 && size < text.size() && (text[size] & 0xc0) == 0x80) --size;
  answer_.text.append(text, 0, size);
}

std::string A2aAnswerReader::error_event(std::string_view id, const A2aError& error) const {
  const std::string data = a2a_error_json(binding_, id, error);
  // By JSON-RPC an event is a response, whatever its type; HTTP+JSON tells them apart by it.
  const bool is_json_rpc = binding_ == A2aEndpoint::Binding::kJsonRpc;
  return fmt::format("{}data: {}\n\n", is_json_rpc ? "" : "event: error\n", data);
}

}  // namespace gatehouse::wire
