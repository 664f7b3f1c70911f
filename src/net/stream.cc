// SPDX-License-Identifier: Apache-2.0
#include "net/stream.h"

#include <fmt/format.h>

namespace gatehouse::net {

std::string Endpoint::text() const {
  if (kind == Kind::kUnix) return "unix:" + host;
  if (host.contains(':')) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

}  // namespace gatehouse::net
