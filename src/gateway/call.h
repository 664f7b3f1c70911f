// SPDX-License-Identifier: Apache-2.0
// What an Exchange means. LLM, MCP, A2A, plain and intercepted HTTP all become a Call before RULE,
// so that one policy, one kill and one audit serve them all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ipc/llm_provider.h"
#include "ipc/snapshot.h"
#include "wire/a2a.h"
#include "wire/llm.h"

namespace gatehouse::gateway {

// A plain HTTP request; all there is to say of it is in its method, host and path.
struct HttpCall {};

// A request to a model, at an endpoint that is read.
struct LlmCall {
  wire::LlmEndpoint endpoint;
  wire::LlmRequest request;
  std::size_t input_bytes = 0;  // of the request's body, for the estimate
};

// An MCP message. `tool` is set for tools/call only.
struct ToolCall {
  std::string method;
  std::string tool;
  std::string id_json;    // the caller's id as it stood, for error replies; "" for a notification
  std::string arguments;  // raw JSON
};

// A request to another agent, by A2A.
struct AgentCall {
  wire::A2aCall request;
};

using Call = std::variant<HttpCall, LlmCall, ToolCall, AgentCall>;

}  // namespace gatehouse::gateway
