// SPDX-License-Identifier: Apache-2.0
// What an Exchange means. LLM, MCP, plain and intercepted HTTP all become a Call before RULE, so
// that one policy, one kill and one audit serve them all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "wire/llm_openai.h"

namespace gatehouse::gateway {

// A plain HTTP request; all there is to say of it is in its method, host and path.
struct HttpCall {};

struct LlmCall {
  std::string model;
  bool stream = false;
  bool asks_for_usage = false;  // the caller wants the usage chunk
  std::size_t input_bytes = 0;  // of the request's body, for the estimate
  std::vector<std::string>
      provider_tools;  // tools that would run at the provider, past the gateway
  std::vector<wire::OpenAiMessage> new_messages;  // those after the model's last answer
};

// An MCP message. `tool` is set for tools/call only.
struct ToolCall {
  std::string method;
  std::string tool;
  std::string id_json;      // the caller's id as it stood, for error replies; "" for a notification
  std::string arguments;    // raw JSON
  std::string traceparent;  // of params._meta
};

using Call = std::variant<HttpCall, LlmCall, ToolCall>;

}  // namespace gatehouse::gateway
