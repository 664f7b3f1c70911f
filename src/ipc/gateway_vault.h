// SPDX-License-Identifier: Apache-2.0
// The gateway asks the vault: lease a credential for one Exchange, end it, mint an interception
// leaf. Nothing here can carry a refresh token or a client secret.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/secret.h"
#include "ipc/message.h"

namespace gatehouse::ipc {

struct Leased {
  static constexpr MessageType kType = 0x0111;
  LeaseId lease = no_lease();
  std::string connection;            // which Connection, for the record
  Secret value;                      // what stands in for the placeholder
  std::int64_t expires_unix_ms = 0;  // of the credential, 0 if unknown
  bool renewable = false;            // an OAuth access token: a 401 is worth one renewal
  // What the Run was leased so far towards the service's hosts, `value` among it, the newest first:
  // it may come back in any answer from there.
  std::vector<Secret> known;
  template <class F>
  void fields(F& f) {
    f(lease, connection, value, expires_unix_ms, renewable, known);
  }
};

// Lease the credential of `service` for one Exchange of a live Run. Errors: kLeaseRefused (Run not
// live, no Connection, host not bound), kTooMany, kAuditUnavailable, kUnreachable (refresh failed).
struct Lease {
  static constexpr MessageType kType = 0x0101;
  using Reply = Leased;
  RunId run = no_run();
  ExchangeId exchange = no_exchange();
  std::string service;
  std::string
      host;  // the host about to be dialled; the vault checks it against the service's binding
  std::string method;
  std::string path;
  // A live lease of this Run at this service, to whose value the upstream answered 401: renew it,
  // unless someone has since.
  LeaseId rejected = no_lease();
  // Where the vault signs: the canonical request (wire/sigv4.h) that goes upstream. What is leased
  // then is the signature of that one request.
  std::string to_sign;
  template <class F>
  void fields(F& f) {
    f(run, exchange, service, host, method, path, rejected, to_sign);
  }
};

struct EndLeases {
  static constexpr MessageType kType = 0x0102;
  static constexpr std::size_t kMost = 1024;  // that fit into a message
  using Reply = Done;
  std::vector<LeaseId> leases;
  template <class F>
  void fields(F& f) {
    f(leases);
  }
};

// For an Exchange with a host that a credential is bound to, and no placeholder: what the Run was
// leased towards it so far, and is on record for.
struct KnownValues {
  static constexpr MessageType kType = 0x0114;
  std::vector<Secret> values;
  template <class F>
  void fields(F& f) {
    f(values);
  }
};
struct Known {
  static constexpr MessageType kType = 0x0104;
  using Reply = KnownValues;
  RunId run = no_run();
  std::string host;
  template <class F>
  void fields(F& f) {
    f(run, host);
  }
};

struct LeafIssued {
  static constexpr MessageType kType = 0x0113;
  std::string certificate_pem;  // leaf, then the tenant's CA
  Secret private_key_pem;
  std::int64_t not_after_unix_s = 0;
  template <class F>
  void fields(F& f) {
    f(certificate_pem, private_key_pem, not_after_unix_s);
  }
};

// A leaf of at most 24 hours for a host that control has published as interceptable for this
// tenant. Errors: kDenied.
struct Leaf {
  static constexpr MessageType kType = 0x0103;
  using Reply = LeafIssued;
  RunId run = no_run();
  std::string host;
  template <class F>
  void fields(F& f) {
    f(run, host);
  }
};

}  // namespace gatehouse::ipc
