// SPDX-License-Identifier: Apache-2.0
// One connection of an agent that speaks HTTP/2: each stream is an Exchange of its own. A stream
// that the agent resets ends its Exchange; a connection that ends, ends all of them.
#pragma once

#include "gateway/gate.h"
#include "gateway/tunnel.h"

namespace gatehouse::gateway {

// Of a client whose inbox begins with the preface, or that agreed on HTTP/2 by ALPN.
// Not inlined: its frame would be a part of that of each connection of HTTP/1.1.
[[nodiscard, gnu::noinline]] net::Task<void> serve_http2(Gate& gate, Door& door, Client& client,
                                                         Place place);

}  // namespace gatehouse::gateway
