// SPDX-License-Identifier: Apache-2.0
#include "net/stream.h"

#include <fmt/format.h>

namespace gatehouse::net {

std::string Endpoint::text() const {
  if (kind == Kind::kUnix) return "unix:" + host;
  if (host.contains(':')) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

Task<Result<void>> Stream::write_both(std::string_view first, std::string_view second,
                                      Deadline deadline) {
  CO_TRY(co_await write(first, deadline));
  co_return co_await write(second, deadline);
}

}  // namespace gatehouse::net
