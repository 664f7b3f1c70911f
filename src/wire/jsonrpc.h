// SPDX-License-Identifier: Apache-2.0
// One JSON-RPC 2.0 message (https://www.jsonrpc.org/specification), read in place. Batches are
// refused: MCP has none since 2025-06-18, and one message is one ruling.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/json.h"

namespace gatehouse::wire {

struct JsonRpcMessage {
  enum class Kind : std::uint8_t { kRequest, kNotification, kResponse };
  Kind kind = Kind::kRequest;
  std::string_view
      id;  // as it was sent: a string with its quotes, an integer, or null; empty: none
  std::string method;
  std::optional<JsonValue> params;  // object or array
  std::optional<JsonValue> result;  // of a response: this or `error`
  std::optional<JsonValue> error;

  // Views of `text`. Errors: kInvalid, kTooLarge (depth), kUnsupported (a batch).
  [[nodiscard]] static Result<JsonRpcMessage> parse(std::string_view text);
};

// A response with the caller's id as it was sent; "null" for an empty one.
[[nodiscard]] std::string json_rpc_error(std::string_view id, int code, std::string_view message);
// `error` by its row in the table of errors.
[[nodiscard]] std::string json_rpc_error(std::string_view id, const Error& error);

}  // namespace gatehouse::wire
