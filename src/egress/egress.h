// SPDX-License-Identifier: Apache-2.0
// Egress: the one way in which a role opens a connection to the world. A name is looked up once,
// every address is checked, and exactly a checked one is dialled: by this machine, or by an HTTP
// proxy that is asked for it (CONNECT, RFC 9110 section 9.3.6). Of its Loop's thread.
//
// What is *not* guaranteed: where the proxy looks names up (NetworkSpec::proxy_resolves), nobody
// here knows what it dials; only hosts that are addresses are checked then.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/secret.h"
#include "ipc/network.h"
#include "net/resolve.h"
#include "net/tls.h"

namespace gatehouse::egress {

// Who we are to a server that asks.
struct Identity {
  std::string name;  // no two that differ have the same
  net::TlsIdentity tls;
};

struct Target {
  std::string host;  // a name, or an IP literal without brackets
  std::uint16_t port = 0;
  bool tls = false;
  std::string ca_pem;          // trust anchors beside the house's and the system's
  bool allow_private = false;  // loopback and private addresses too
  bool http2 = false;          // in TLS, HTTP/2 is offered beside HTTP/1.1
  // A SPIFFE ID that the certificate must have in the place of the host's name; `ca_pem` alone is
  // trusted then: the bundle of its trust domain.
  std::string spiffe_id;
  std::shared_ptr<const Identity> identity;  // null: none
};

struct Dialled {
  std::unique_ptr<net::Stream> stream;
  bool speaks_http2 = false;  // what ALPN agreed on
};

class Dialer {
 public:
  Dialer(net::Loop& loop, net::Resolver& resolver) : loop_(loop), resolver_(resolver) {}

  // For what is dialled from now on.
  void use(ipc::NetworkSpec network);
  // For that proxy alone ("host:port"), whichever is in force: what is dialled through the one
  // before goes on with its own.
  void use_credentials(Secret authorization, std::string proxy);
  [[nodiscard]] const ipc::NetworkSpec& network() const { return network_; }
  // Some are used no more: no key of theirs is kept.
  void forget_identities() { tls_.clear(); }

  // Nothing of a request has been sent when it fails. Errors: kDenied (the address is private,
  // link-local or a cloud's metadata service), kUnreachable (no address, nobody there, the proxy
  // refuses), kTimeout, kUpstream (TLS).
  [[nodiscard]] net::Task<Result<Dialled>> dial(Target to, Deadline deadline);

 private:
  using Stream = std::unique_ptr<net::Stream>;
  using Addresses = std::vector<net::Endpoint>;
  net::Task<Result<Addresses>> checked_addresses(Target to, Deadline deadline);
  net::Task<Result<Stream>> connect_any(Addresses addresses, std::string to, Deadline deadline);
  net::Task<Result<Stream>> through_proxy(ipc::NetworkSpec network, std::vector<std::string> places,
                                          Deadline deadline);
  net::Task<Result<Stream>> ask_proxy(ipc::NetworkSpec network, Addresses proxy, std::string place,
                                      Deadline deadline);
  net::Task<Result<Dialled>> secured(Stream socket, Target to, std::string extra_ca_pem,
                                     Deadline deadline);

  struct Credentials {
    std::string proxy;
    std::shared_ptr<const Secret> authorization;
  };
  // Null while they are not known.
  [[nodiscard]] std::shared_ptr<const Secret> credentials_for(
      const ipc::NetworkSpec& network) const;

  net::Loop& loop_;
  net::Resolver& resolver_;
  ipc::NetworkSpec network_;
  std::array<Credentials, 2> credentials_;  // of the proxy told last, and of the one before
  std::unordered_map<std::string, std::shared_ptr<net::TlsClient>>
      tls_;  // by whom they trust and who they are
};

}  // namespace gatehouse::egress
