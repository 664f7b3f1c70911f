// SPDX-License-Identifier: Apache-2.0
#include "wire/jsonrpc.h"

namespace gatehouse::wire {
namespace {

Failure bad(std::string_view what) {
  return failure(Error::kInvalid, "JSON-RPC: " + std::string(what));
}

std::optional<JsonValue> member(const JsonObject& object, std::string_view key) {
  const JsonValue* const value = object.find(key);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

Result<std::string_view> id_of(const JsonObject& object) {
  const JsonValue* const id = object.find("id");
  if (id == nullptr) return std::string_view{};
  const bool known = id->is(JsonType::kString) || id->is(JsonType::kNull) || id->integer();
  if (!known) return bad("an id is a string, an integer or null");
  return id->raw;
}

}  // namespace

Result<JsonRpcMessage> JsonRpcMessage::parse(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin != std::string_view::npos && text[begin] == '[') {
    return failure(Error::kUnsupported, "JSON-RPC batches are refused: send one message a request");
  }
  const JsonObject object = TRY(scan_object(text, Duplicates::kRejectEverywhere));
  if (object.string("jsonrpc") != "2.0") return bad("'jsonrpc' must be \"2.0\"");
  JsonRpcMessage message;
  message.id = TRY(id_of(object));
  message.params = member(object, "params");
  message.result = member(object, "result");
  message.error = member(object, "error");
  const JsonValue* const method = object.find("method");
  if (method == nullptr) {
    message.kind = Kind::kResponse;
    if (message.result.has_value() == message.error.has_value()) {
      return bad("a message has a method, or else a result or an error");
    }
    if (message.id.empty()) return bad("a response has an id");
    if (message.error && !message.error->is(JsonType::kObject)) return bad("'error' is an object");
    return message;
  }
  auto name = method->string();
  if (!name || name->empty()) return bad("'method' is a string that is not empty");
  if (message.result || message.error) return bad("a message cannot be request and response");
  if (message.params && !message.params->is(JsonType::kObject)
      && !message.params->is(JsonType::kArray)) {
    return bad("'params' is an object or an array");
  }
  message.method = *std::move(name);
  message.kind = message.id.empty() ? Kind::kNotification : Kind::kRequest;
  return message;
}

std::string json_rpc_error(std::string_view id, int code, std::string_view message) {
  JsonWriter json;
  json.begin_object().key("jsonrpc").string("2.0").key("id").raw(id.empty() ? "null" : id);
  json.key("error").begin_object().key("code").integer(code).key("message").string(message);
  json.end_object().end_object();
  return std::move(json).text();
}

std::string json_rpc_error(std::string_view id, const Error& error) {
  return json_rpc_error(id, row_of(error.code()).json_rpc_code, error.message());
}

}  // namespace gatehouse::wire
