// SPDX-License-Identifier: Apache-2.0
#include "wire/responses_socket.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "wire/llm_parts.h"

namespace gatehouse::wire {
namespace {

Result<std::string> stream_of(const JsonObject& event) {
  const JsonValue* const value = present(event, "stream_id");
  if (value == nullptr) return std::string();
  if (!value->is(JsonType::kString)) return wrong_type("stream_id", "a string");
  std::string id = *value->string();
  if (id.size() > kMaxStreamId) {
    return failure(Error::kInvalid, "a stream_id of more than 256 bytes");
  }
  return id;
}

Result<LlmRequest> created(const JsonObject& event, std::string_view text) {
  // As OpenAI's realtime has it: there, nobody would look.
  if (event.find("response") != nullptr) {
    return failure(Error::kInvalid,
                   "a response.create whose request is in \"response\"; it belongs to the top");
  }
  LlmEndpoint endpoint;
  endpoint.dialect = LlmDialect::kOpenAiResponses;
  LlmRequest request = TRY(LlmRequest::parse(endpoint, text));
  request.stream = true;
  return request;
}

Result<LlmRequest> steered(std::string_view text) {
  LlmRequest request = TRY(openai_responses_input({text, KnownJson()}));
  if (!request.tools.empty() || !request.provider_tools.empty()) {
    return failure(Error::kInvalid, "a response.steer that brings tools");
  }
  return request;
}

}  // namespace

Result<ResponsesClientEvent> parse_responses_client_event(std::string_view text) {
  using Kind = ResponsesClientEvent::Kind;
  const JsonObject event = TRY(scan_object(text));
  ResponsesClientEvent out;
  out.stream_id = TRY(stream_of(event));
  const std::string type = text_or(event, "type");
  if (type == "response.create") {
    out.request = TRY(created(event, text));
  } else if (type == "response.steer") {
    out.kind = Kind::kSteer;
    out.request = TRY(steered(text));
  } else if (type == "response.processed") {
    out.kind = Kind::kProcessed;
  } else {
    return failure(
        Error::kUnsupported,
        fmt::format("an event of type \"{}\"; a WebSocket of Responses has response.create, "
                    "response.steer and response.processed",
                    printable(type.substr(0, 64))));
  }
  return out;
}

Result<ResponsesServerEvent> parse_responses_server_event(std::string_view text) {
  using Kind = ResponsesServerEvent::Kind;
  const JsonObject event = TRY(scan_object(text));
  const std::string type = text_or(event, "type");
  ResponsesServerEvent out;
  out.stream_id = text_or(event, "stream_id");
  if (type == "response.created") out.kind = Kind::kBegins;
  if (type == "response.completed" || type == "response.incomplete" || type == "response.failed") {
    out.kind = Kind::kEnds;
  }
  if (type == "error") out.kind = Kind::kError;
  return out;
}

std::string responses_error_event(const LlmError& error, std::string_view stream_id) {
  const std::string message = json_quoted(error.message);
  const std::string code =
      json_quoted(error.rule.empty() ? fmt::format("gatehouse_{}", error.label) : error.rule);
  const std::string stream =
      stream_id.empty() ? "" : fmt::format(R"("stream_id":{},)", json_quoted(stream_id));
  return fmt::format(R"({{"type":"error","status":{},{}"code":{},"message":{},"param":null,)"
                     R"("error":{{"type":"gatehouse_{}","code":{},"message":{},"param":null}}}})",
                     error.status, stream, code, message, error.label, code, message);
}

}  // namespace gatehouse::wire
