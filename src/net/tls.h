// SPDX-License-Identifier: Apache-2.0
// TLS 1.2 and 1.3 over a socket, both sides, with client certificates as an option. OpenSSL works
// on the non-blocking descriptor itself; plaintext buffers are cleansed (SSL_OP_CLEANSE_PLAINTEXT),
// renegotiation is off.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/secret.h"
#include "base/time.h"
#include "net/stream.h"

namespace gatehouse::net {

// A certificate chain (leaf first) and its key, both PEM.
struct TlsIdentity {
  std::string certificate_pem;
  Secret private_key_pem;
};

// Whether the first certificate of a PEM text holds at that time. Errors: kInvalid, with when it
// begins or ended.
[[nodiscard]] Result<void> check_validity(std::string_view certificate_pem, WallTime now);

// A client's side: whom it trusts and who it is. One per Loop; connections share its session cache.
class TlsClient {
 public:
  struct Options {
    std::string extra_ca_pem;  // trust anchors beside the system's
    bool system_roots = true;
    const TlsIdentity* identity = nullptr;  // shown when the server asks
  };
  // Errors: kInvalid when a certificate or key does not parse.
  [[nodiscard]] static Result<std::unique_ptr<TlsClient>> make(const Options&);
  ~TlsClient();

  // Handshakes as `server_name`, which the certificate must match (RFC 9525; an IP literal by its
  // iPAddress). Errors: kUpstream when the certificate is not trusted or does not match, kTimeout,
  // kClosed.
  [[nodiscard]] Task<Result<std::unique_ptr<Stream>>> connect(Loop& loop,
                                                              std::unique_ptr<Stream> socket,
                                                              std::string server_name, Deadline);

 private:
  class Impl;
  explicit TlsClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class TlsServer {
 public:
  struct Options {
    const TlsIdentity* identity = nullptr;
    std::string client_ca_pem;  // not empty: a client certificate of these is required
  };
  [[nodiscard]] static Result<std::unique_ptr<TlsServer>> make(const Options&);
  ~TlsServer();

  struct Accepted {
    std::unique_ptr<Stream> stream;
    std::string server_name;  // what the client asked for (SNI), "" if nothing
  };
  // Errors: kInvalid (not TLS, bad certificate), kTimeout, kClosed.
  [[nodiscard]] Task<Result<Accepted>> accept(Loop& loop, std::unique_ptr<Stream> socket, Deadline);

 private:
  class Impl;
  explicit TlsServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gatehouse::net
