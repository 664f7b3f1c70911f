// SPDX-License-Identifier: Apache-2.0
// Names to addresses by c-ares, without a thread. Whoever dials checks the addresses and then dials
// one of exactly these: a name is looked up once per connection, so that it cannot change its
// answer between the check and the dial.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/nursery.h"
#include "net/stream.h"

namespace gatehouse::net {

class Resolver {
 public:
  // Reads resolv.conf and hosts now; later changes of those files are not seen. Errors: kInternal.
  [[nodiscard]] static Result<std::unique_ptr<Resolver>> make(Loop& loop);
  ~Resolver();

  // At least one address, IPv4 first. An IP literal is answered as it is. Errors: kUnreachable (no
  // such name, no server answers), kTimeout.
  [[nodiscard]] Task<Result<std::vector<Endpoint>>> resolve(std::string host, std::uint16_t port,
                                                            Deadline);

 private:
  class Impl;
  explicit Resolver(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gatehouse::net
