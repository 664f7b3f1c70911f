// SPDX-License-Identifier: Apache-2.0
// A key of this process alone and a certificate that it signed for itself: who shows it has the
// key, and no authority says anything (RFC 8705 section 2.2). Neither is ever in a file.
#pragma once

#include <string>

#include "base/result.h"
#include "net/tls.h"

namespace gatehouse::cli {

struct ClientKey {
  net::TlsIdentity identity;
  std::string thumbprint;  // SHA-256 of the certificate (DER), 32 bytes
};

// P-256, in OpenSSL's locked heap. The certificate holds no name and ends after thirty days: what
// it is good for ends with the process. Errors: kInternal.
[[nodiscard]] Result<ClientKey> make_client_key();

}  // namespace gatehouse::cli
