// SPDX-License-Identifier: Apache-2.0
// A tunnel in a stream of an agent's HTTP/2 (RFC 9113 section 8.5): a connection of its own, which
// outlasts nothing of the one that carries it.
#pragma once

#include <memory>

#include "gateway/gate.h"
#include "gateway/http2_stream.h"
#include "gateway/refusal.h"

namespace gatehouse::gateway {

// By the rules of CONNECT. `client` has the stream's bytes.
[[nodiscard]] net::Task<void> serve_stream_tunnel(Gate* gate, Door* door, Listed listed,
                                                  std::unique_ptr<Client> client,
                                                  std::shared_ptr<Http2Stream> stream,
                                                  wire::RequestHead head);
// Of a refusal in HTTP/2.
[[nodiscard]] wire::ResponseHead refusal_head(const RefusalParts& parts, const Door& door);

}  // namespace gatehouse::gateway
