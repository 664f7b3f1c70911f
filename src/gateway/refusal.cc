// SPDX-License-Identifier: Apache-2.0
#include "gateway/refusal.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "wire/http1.h"

namespace gatehouse::gateway {
namespace {

constexpr std::uint32_t kRetryAfterS = 1;  // what is full or away is back soon, or not for long

std::string body_of(const Refusal& refusal) {
  const ErrorRow& row = row_of(refusal.error.code());
  const std::string message = json_quoted(refusal.error.message());
  const std::string rule = refusal.rule.empty() ? "null" : json_quoted(refusal.rule);
  if (const auto provider = provider_of(refusal.dialect)) {
    return wire::llm_error_json(
        *provider, {row.http_status, row.label, refusal.rule, refusal.error.message()});
  }
  if (refusal.dialect == ipc::ServiceKind::kA2a) {
    using Binding = wire::A2aEndpoint::Binding;
    const Binding binding = refusal.json_rpc_id.empty() ? Binding::kHttpJson : Binding::kJsonRpc;
    return wire::a2a_error_json(binding, refusal.json_rpc_id, {refusal.error, refusal.rule});
  }
  if (refusal.dialect == ipc::ServiceKind::kMcp) {
    return fmt::format(R"({{"jsonrpc":"2.0","id":{},"error":{{"code":{},"message":{},)"
                       R"("data":{{"type":"{}","rule":{}}}}}}})",
                       refusal.json_rpc_id.empty() ? "null" : refusal.json_rpc_id,
                       row.json_rpc_code, message, row.label, rule);
  }
  return fmt::format(R"({{"type":"about:blank","title":{},"status":{},"detail":{},)"
                     R"("gatehouse_error":"{}","rule":{}}})",
                     json_quoted(wire::reason_phrase(row.http_status)), row.http_status, message,
                     row.label, rule);
}

}  // namespace

RefusalParts parts_of(const Refusal& refusal) {
  const ErrorRow& row = row_of(refusal.error.code());
  return {
      row.http_status,
      refusal.dialect == ipc::ServiceKind::kHttp ? "application/problem+json" : "application/json",
      row.label,
      refusal.retry_after_s == 0 && row.http_status == 503 ? kRetryAfterS : refusal.retry_after_s,
      body_of(refusal) + "\n"};
}

std::string response_of(const Refusal& refusal) {
  const RefusalParts parts = parts_of(refusal);
  return fmt::format(
      "HTTP/1.1 {} {}\r\ncontent-type: {}\r\ncontent-length: {}\r\ncache-control: no-store\r\n"
      "x-gatehouse-error: {}\r\n{}{}{}\r\n{}",
      parts.status, wire::reason_phrase(parts.status), parts.content_type, parts.body.size(),
      parts.label,
      parts.retry_after_s == 0 ? "" : fmt::format("retry-after: {}\r\n", parts.retry_after_s),
      refusal.trace_headers, refusal.close ? "connection: close\r\n" : "",
      refusal.to_head ? "" : parts.body);
}

}  // namespace gatehouse::gateway
