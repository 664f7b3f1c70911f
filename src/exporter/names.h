// SPDX-License-Identifier: Apache-2.0
// The one table of names: what a tag of an Entry is called in a span and in a line of the access
// log. What is not here leaves the house by neither of them, and no body has a tag: what was said
// in an Exchange is in no span and no line.
//
// Spans go by OpenTelemetry's semantic conventions 1.41 (registry, http, server, error) and by
// its GenAI and MCP conventions of the same version, all of which are in development; what they
// have no name for is below `gatehouse.`.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace gatehouse::exporter {

inline constexpr std::string_view kSchemaUrl = "https://opentelemetry.io/schemas/1.41.0";

enum class Form : std::uint8_t {
  kText,
  kNumber,
  kTruth,
  kList,     // a list of the one text that there is
  kSeconds,  // microseconds here, seconds in a span, milliseconds in a line
};

struct Name {
  std::string_view tag;
  std::string_view attribute;  // of a span; "" where it is none
  std::string_view field;      // of a line; "" where it is in none
  Form form = Form::kText;
};

inline constexpr std::array kNames = {
    Name{"agent", "gen_ai.agent.name", "agent"},
    Name{"service", "gatehouse.service", "service"},
    Name{"call", "gatehouse.call", "call"},
    Name{"method", "http.request.method", "method"},
    Name{"host", "", "host"},
    Name{"path", "url.path", "path"},
    Name{"ruling", "gatehouse.ruling", "ruling"},
    Name{"rule", "gatehouse.rule", "rule"},
    Name{"alarm", "gatehouse.alarm", "alarm"},
    Name{"status", "http.response.status_code", "status", Form::kNumber},
    Name{"state", "gatehouse.state", ""},
    Name{"reason", "", "reason"},
    Name{"duration_us", "", "duration_ms", Form::kSeconds},
    Name{"bytes.response", "gatehouse.response.body.size", "response_bytes", Form::kNumber},
    Name{"renewed", "gatehouse.renewed", "renewed"},
    Name{"exit_status", "process.exit.code", "", Form::kNumber},
    Name{"llm.operation", "gen_ai.operation.name", "operation"},
    Name{"llm.endpoint", "gatehouse.endpoint", "endpoint"},
    Name{"llm.provider", "gen_ai.provider.name", "provider"},
    Name{"llm.model", "gen_ai.request.model", "model"},
    Name{"llm.stream", "gen_ai.request.stream", "stream", Form::kTruth},
    Name{"llm.response_id", "gen_ai.response.id", "response_id"},
    Name{"llm.response_model", "gen_ai.response.model", "response_model"},
    Name{"llm.finish_reason", "gen_ai.response.finish_reasons", "finish_reason", Form::kList},
    Name{"llm.first_chunk_us", "gen_ai.response.time_to_first_chunk", "", Form::kSeconds},
    Name{"llm.first_token_us", "gatehouse.response.time_to_first_token", "first_token_ms",
         Form::kSeconds},
    Name{"tokens.input", "gen_ai.usage.input_tokens", "input_tokens", Form::kNumber},
    Name{"tokens.output", "gen_ai.usage.output_tokens", "output_tokens", Form::kNumber},
    Name{"tokens.cached", "gen_ai.usage.cache_read.input_tokens", "cache_read_tokens",
         Form::kNumber},
    Name{"tokens.cache_write_5m", "gatehouse.usage.cache_write_5m.input_tokens",
         "cache_write_5m_tokens", Form::kNumber},
    Name{"tokens.cache_write_1h", "gatehouse.usage.cache_write_1h.input_tokens",
         "cache_write_1h_tokens", Form::kNumber},
    Name{"tokens.reasoning", "gen_ai.usage.reasoning.output_tokens", "reasoning_tokens",
         Form::kNumber},
    Name{"tokens.input_audio", "gatehouse.usage.audio.input_tokens", "audio_input_tokens",
         Form::kNumber},
    Name{"tokens.output_audio", "gatehouse.usage.audio.output_tokens", "audio_output_tokens",
         Form::kNumber},
    Name{"audio.seconds", "gatehouse.usage.audio.seconds", "audio_seconds", Form::kNumber},
    Name{"tokens.estimated", "gatehouse.usage.estimated", "tokens_estimated", Form::kTruth},
    Name{"unanswered.attempts", "gatehouse.unanswered.attempts", "unanswered_attempts",
         Form::kNumber},
    Name{"unanswered.tokens.input", "gatehouse.unanswered.input_tokens", "unanswered_input_tokens",
         Form::kNumber},
    Name{"unanswered.cost.micro_usd", "gatehouse.unanswered.cost.micro_usd",
         "unanswered_cost_micro_usd", Form::kNumber},
    Name{"cost.micro_usd", "gatehouse.cost.micro_usd", "cost_micro_usd", Form::kNumber},
    Name{"a2a.operation", "gatehouse.a2a.operation", "a2a_operation"},
    Name{"a2a.version", "gatehouse.a2a.version", ""},
    Name{"a2a.task", "gatehouse.a2a.task.id", "a2a_task"},
    Name{"mcp.method", "mcp.method.name", "mcp_method"},
    Name{"tool", "gen_ai.tool.name", "tool"},
};

// Those that follow from more than one tag, or from none.
namespace attribute {
inline constexpr std::string_view kOperation = "gen_ai.operation.name";
inline constexpr std::string_view kCacheWrite = "gen_ai.usage.cache_creation.input_tokens";
inline constexpr std::string_view kErrorType = "error.type";
inline constexpr std::string_view kServerAddress = "server.address";
inline constexpr std::string_view kServerPort = "server.port";
inline constexpr std::string_view kUrlScheme = "url.scheme";
inline constexpr std::string_view kRun = "gatehouse.run.id";
inline constexpr std::string_view kExchange = "gatehouse.exchange.id";
inline constexpr std::string_view kTenant = "gatehouse.tenant";
inline constexpr std::string_view kServiceName = "service.name";
inline constexpr std::string_view kServiceVersion = "service.version";
}  // namespace attribute

// Values of gen_ai.operation.name for what is no call to a model, and of error.type.
inline constexpr std::string_view kExecuteTool = "execute_tool";
inline constexpr std::string_view kInvokeAgent = "invoke_agent";
inline constexpr std::string_view kToolError = "tool_error";

}  // namespace gatehouse::exporter
