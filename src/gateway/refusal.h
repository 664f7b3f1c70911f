// SPDX-License-Identifier: Apache-2.0
// Errors in the caller's own dialect: a model provider's error object, a JSON-RPC error, A2A's, or
// problem details (RFC 9457).
#pragma once

#include <cstdint>
#include <string>

#include "gateway/call.h"
#include "gateway/client.h"
#include "ipc/snapshot.h"

namespace gatehouse::gateway {

struct Refusal {
  Error error;
  ipc::ServiceKind dialect = ipc::ServiceKind::kHttp;
  std::string rule;                 // which rule refused, if one did
  std::string json_rpc_id;          // raw JSON, "" for none
  std::string trace_headers;        // whole lines, may be empty
  bool close = true;                // the connection ends after it
  bool to_head = false;             // the request was a HEAD: its answer has no body
  std::uint32_t retry_after_s = 0;  // when to come again (RFC 9110 section 10.2.3); 0: soon,
                                    // where the status is 503, else it is not said
};

// Its status, media type and body, for who writes no text of HTTP/1.1.
struct RefusalParts {
  int status = 0;
  std::string_view content_type;
  std::string_view label;           // the x-gatehouse-error field
  std::uint32_t retry_after_s = 0;  // 0: there is no such field
  std::string body;
};
[[nodiscard]] RefusalParts parts_of(const Refusal& refusal);
// The whole response.
[[nodiscard]] std::string response_of(const Refusal& refusal);

}  // namespace gatehouse::gateway
