// SPDX-License-Identifier: Apache-2.0
// OpenAI's Responses over a WebSocket: each message is one event, a JSON object. The client's
// `response.create` is a request as POST /responses has it, at the top of the object; the server's
// events are those of its stream. Responses of one `stream_id` come one after another, those of
// several at the same time.
// (https://developers.openai.com/api/docs/guides/websocket-mode)
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/llm.h"

namespace gatehouse::wire {

inline constexpr std::size_t kMaxStreamId = 256;

struct ResponsesClientEvent {
  enum class Kind : std::uint8_t {
    kCreate,    // a response is asked for
    kSteer,     // input for one that is under way, or for the one after it
    kProcessed  // the client has taken a response; it asks for nothing
  };
  Kind kind = Kind::kCreate;
  std::string stream_id;  // "" for the one that there is without a name
  // Of kCreate; of kSteer what it says, and no more.
  LlmRequest request;
};

// Errors: kInvalid for what POST /responses refuses too, for a request that is not at the top, a
// steer that brings tools, a stream_id of more than 256 bytes; kUnsupported for an event of another
// type.
[[nodiscard]] Result<ResponsesClientEvent> parse_responses_client_event(std::string_view text);

struct ResponsesServerEvent {
  enum class Kind : std::uint8_t { kBegins, kEnds, kError, kOther };
  Kind kind = Kind::kOther;
  std::string stream_id;
};

// Errors: kInvalid when it is no JSON object.
[[nodiscard]] Result<ResponsesServerEvent> parse_responses_server_event(std::string_view text);

// The event that tells a client what became of the one that it sent. Clients read the error at the
// top or in `error`, so it stands in both.
[[nodiscard]] std::string responses_error_event(const LlmError& error, std::string_view stream_id);

}  // namespace gatehouse::wire
