// SPDX-License-Identifier: Apache-2.0
// The name that a TLS client asks for, read ahead of the handshake: the server_name extension (RFC
// 6066 section 3) of a ClientHello (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2), which may
// lie in several records (RFC 8446 section 5.1).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace gatehouse::wire {

inline constexpr std::size_t kMaxClientHello = 16 * 1024;  // bytes, with its records' headers

struct ClientHello {
  bool is_whole = false;    // else more bytes are needed
  std::string server_name;  // "" when the client names none
};

// `bytes` are what a client has sent so far. Errors: kInvalid when it is no ClientHello; kTooLarge.
[[nodiscard]] Result<ClientHello> read_client_hello(std::string_view bytes);

}  // namespace gatehouse::wire
