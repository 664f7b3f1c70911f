// SPDX-License-Identifier: Apache-2.0
// Events of a WebSocket of Responses: what is read of one is within bounds, a create is the request
// that POST would have it be, and what we answer can be read.
#include "base/check.h"
#include "base/encoding.h"
#include "wire/responses_socket.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gatehouse;
  using namespace gatehouse::wire;
  const std::string_view text = text_of({data, size});
  if (const auto event = parse_responses_client_event(text)) {
    CHECK(event->stream_id.size() <= kMaxStreamId);
    if (event->kind == ResponsesClientEvent::Kind::kCreate) {
      const auto posted = LlmRequest::parse(
          {.standing = LlmEndpoint::Standing::kGoverned, .dialect = LlmDialect::kOpenAiResponses},
          text);
      CHECK(posted && posted->model == event->request.model);
      CHECK(posted->provider_tools == event->request.provider_tools);
    } else {
      CHECK(event->request.tools.empty() && event->request.provider_tools.empty());
    }
  }
  (void)parse_responses_server_event(text);
  const std::string reply = responses_error_event({403, "denied", text, text}, text);
  const auto back = parse_responses_server_event(reply);
  CHECK(back && back->kind == ResponsesServerEvent::Kind::kError);
  return 0;
}
