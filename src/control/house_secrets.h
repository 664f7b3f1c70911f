// SPDX-License-Identifier: Apache-2.0
// What lies in files that only root may be able to read, and is the house's own: the credentials
// for the corporate proxy and the collector, the certificates of its ports and of its services, and
// their keys. Control reads them before it gives up root; when the config is read again, the
// supervisor does, and hands them over in sealed memory.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "control/config.h"
#include "ipc/control_gateway.h"
#include "net/descriptor.h"
#include "net/tls.h"

namespace gatehouse::control {

struct HouseSecrets {
  Secret proxy_authorization;      // the value of Proxy-Authorization, empty for none
  std::string admin_certificate;   // a chain, PEM; "" without TLS
  Secret admin_key;                // PEM
  std::string attach_certificate;  // as the admin port's; "" where no agents outside are let in
  Secret attach_key;
  Secret otlp_headers;  // lines of a request's head to the collector; empty for none
  std::vector<ipc::UseClientIdentity> client_identities;  // of services
  template <class F>
  void fields(F& f) {
    f(proxy_authorization, admin_certificate, admin_key, attach_certificate, attach_key,
      otlp_headers, client_identities);
  }
};
// Errors: as proxy_authorization; kNotFound, kDenied, kTooLarge, with the file's name.
[[nodiscard]] Result<HouseSecrets> read_house_secrets(const Config& config);

[[nodiscard]] Result<net::Descriptor> secrets_memory(HouseSecrets& secrets);
// Errors: kInvalid, kTooLarge.
[[nodiscard]] Result<HouseSecrets> secrets_of_memory(const net::Descriptor& memory);

// The admin port's end of TLS; null where the config names no certificate. Errors: kInvalid, with
// the files' names: what does not parse, a key that is of another certificate.
[[nodiscard]] Result<std::unique_ptr<net::TlsServer>> admin_tls(const AdminListen& admin,
                                                                const HouseSecrets& secrets);
// Errors: kInvalid for one whose time has not begun, or is over.
[[nodiscard]] Result<void> check_admin_time(const AdminListen& admin, const HouseSecrets& secrets,
                                            WallTime now);

// That what agents outside of sandboxes meet is a certificate and its key, and of its time. Errors:
// kInvalid.
[[nodiscard]] Result<void> check_attach_pair(const AttachListen& attach,
                                             const HouseSecrets& secrets, WallTime now);

// The same of each that the gateways are to upstreams.
[[nodiscard]] Result<void> check_client_identities(
    const std::vector<ipc::UseClientIdentity>& identities, WallTime now);

}  // namespace gatehouse::control
