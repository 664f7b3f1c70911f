// SPDX-License-Identifier: Apache-2.0
// TLS 1.2 and 1.3, both sides, with client certificates as an option. Over a socket OpenSSL works
// on the non-blocking descriptor itself; over another stream (TLS in TLS) on that stream. Plaintext
// buffers are cleansed (SSL_OP_CLEANSE_PLAINTEXT), renegotiation is off.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/secret.h"
#include "base/time.h"
#include "net/spiffe.h"
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
    // A certificate among the anchors is trusted as it is, whoever signed it
    // (X509_V_FLAG_PARTIAL_CHAIN): for a server that is known by its certificate.
    bool anchors_are_pins = false;
    const TlsIdentity* identity = nullptr;  // shown when the server asks
  };
  // Errors: kInvalid when a certificate or key does not parse.
  [[nodiscard]] static Result<std::unique_ptr<TlsClient>> make(const Options&);
  ~TlsClient();

  struct Wish {
    // Which the certificate must match (RFC 9525; an IP literal by its iPAddress).
    std::string server_name;
    bool http2 = false;  // offers HTTP/2 beside HTTP/1.1 (ALPN, RFC 7301)
    // The name is asked for then, but not matched: the certificate must be the X509-SVID of a
    // workload that this covers.
    std::optional<SpiffeId> spiffe_id;
  };
  struct Connected {
    std::unique_ptr<Stream> stream;
    bool speaks_http2 = false;  // what ALPN agreed on
  };
  // Handshakes. Errors: kUpstream when the certificate is not trusted or does not match, kTimeout,
  // kClosed.
  [[nodiscard]] Task<Result<Connected>> connect(Loop& loop, std::unique_ptr<Stream> socket, Wish,
                                                Deadline);
  // With that name, for one protocol alone.
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
    // A client certificate is required, whoever signed it: it only shows that the client has its
    // key, and whose key counts is the caller's to judge (RFC 8705 section 3). TLS 1.3 only and
    // without resumption, so that each connection shows it.
    bool any_client_certificate = false;
    // Which protocols are offered (ALPN, RFC 7301), and which one a client gets that speaks both.
    bool http2 = false;        // HTTP/2, and HTTP/1.1 behind it
    bool http1_first = false;  // beside http2: the other way round
  };
  [[nodiscard]] static Result<std::unique_ptr<TlsServer>> make(const Options&);
  ~TlsServer();

  struct Accepted {
    std::unique_ptr<Stream> stream;
    std::string server_name;  // what the client asked for (SNI), "" if nothing
    // SHA-256 of the client's certificate (DER), 32 bytes; "" if it showed none.
    std::string client_certificate_sha256;
    bool speaks_http2 = false;  // what ALPN agreed on
  };
  enum class Offer : std::uint8_t { kAsMade, kHttp1 };
  // `kHttp1`: no HTTP/2 to this one. Errors: kInvalid (not TLS, bad certificate), kTimeout,
  // kClosed.
  [[nodiscard]] Task<Result<Accepted>> accept(Loop& loop, std::unique_ptr<Stream> socket, Deadline,
                                              Offer offer = Offer::kAsMade);

 private:
  class Impl;
  explicit TlsServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gatehouse::net
