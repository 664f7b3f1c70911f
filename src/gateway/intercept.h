// SPDX-License-Identifier: Apache-2.0
// Interception: leaves of the tenant's CA, minted by the vault for hosts that control has
// published, kept per tenant and host until an hour before they end.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "ipc/role.h"
#include "ipc/sandbox.h"
#include "net/tls.h"

namespace gatehouse::gateway {

class Interceptor {
 public:
  explicit Interceptor(ipc::Role& role) : role_(role) {}
  // The TLS server that speaks as `host` to this Run. Shared with the handshakes that are under
  // way.
  [[nodiscard]] net::Task<Result<std::shared_ptr<net::TlsServer>>> server_for(ipc::RunSpec run,
                                                                              std::string host,
                                                                              Deadline deadline);

 private:
  struct Kept {
    std::shared_ptr<net::TlsServer> server;
    std::int64_t since_unix_s = 0;
    std::int64_t until_unix_s = 0;
  };
  ipc::Role& role_;
  std::unordered_map<std::string, Kept> kept_;
};

}  // namespace gatehouse::gateway
