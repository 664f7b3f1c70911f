// SPDX-License-Identifier: Apache-2.0
// Control asks the vault. Secrets arrive already sealed to the vault's public key (libsodium
// crypto_box_seal), so control never sees one. Nothing is ever read back but metadata.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ipc/message.h"
#include "ipc/placeholder.h"

namespace gatehouse::ipc {

struct VaultPublicKey {
  static constexpr MessageType kType = 0x0211;
  std::string x25519;  // 32 bytes
  template <class F>
  void fields(F& f) {
    f(x25519);
  }
};
struct GetPublicKey {
  static constexpr MessageType kType = 0x0201;
  using Reply = VaultPublicKey;
  template <class F>
  void fields(F&) {}
};

enum class CredentialKind : std::uint8_t { kStatic, kOauth, kOauthClientSecret };

// What the vault must know of a service before it holds a credential of it. Sent again whole at
// every change.
struct PublishService {
  static constexpr MessageType kType = 0x0202;
  using Reply = Done;
  std::string tenant;
  std::string name;
  CredentialKind kind = CredentialKind::kStatic;
  std::vector<std::string> hosts;  // hosts the credential is bound to, lower case
  // OAuth 2.0 (RFC 6749); "" for static keys.
  std::string authorization_endpoint;
  std::string token_endpoint;
  std::string revocation_endpoint;
  std::string issuer;  // checked against `iss` of the redirect (RFC 9207)
  std::string client_id;
  std::vector<std::string> scopes;
  // AWS: the stored key pair never leaves the vault, which signs for this region and service with
  // it; "" where the value itself is leased.
  std::string sign_region;
  std::string sign_service;
  bool shared = false;  // the tenant's Connection (user "") serves every user; else only each's own
  template <class F>
  void fields(F& f) {
    f(tenant, name, kind, hosts, authorization_endpoint, token_endpoint, revocation_endpoint,
      issuer, client_id, scopes, sign_region, sign_service, shared);
  }
};

// The services that there are: what was published of any other is forgotten.
struct ServiceName {
  std::string tenant;
  std::string name;
  template <class F>
  void fields(F& f) {
    f(tenant, name);
  }
};
struct KeepServices {
  static constexpr MessageType kType = 0x020b;
  using Reply = Done;
  std::vector<ServiceName> services;
  template <class F>
  void fields(F& f) {
    f(services);
  }
};

// Hosts for which leaves of this tenant's CA may be minted; replaces the list.
struct PublishInterceptable {
  static constexpr MessageType kType = 0x0203;
  using Reply = Done;
  std::string tenant;
  std::vector<std::string> hosts;
  template <class F>
  void fields(F& f) {
    f(tenant, hosts);
  }
};

// Stores a static key, or an OAuth client's secret (then `user` is ""). Replaces what was there.
struct PutSealed {
  static constexpr MessageType kType = 0x0204;
  using Reply = Done;
  std::string tenant;
  std::string user;
  std::string service;
  CredentialKind kind = CredentialKind::kStatic;
  std::string sealed;  // crypto_box_seal of the value
  template <class F>
  void fields(F& f) {
    f(tenant, user, service, kind, sealed);
  }
};

struct AuthorizationStarted {
  static constexpr MessageType kType = 0x0215;
  std::string url;    // what the person opens
  std::string state;  // comes back in the redirect
  template <class F>
  void fields(F& f) {
    f(url, state);
  }
};
// Begins authorization code + PKCE (RFC 7636, S256). The verifier stays in the vault.
struct StartAuthorization {
  static constexpr MessageType kType = 0x0205;
  using Reply = AuthorizationStarted;
  std::string tenant;
  std::string user;
  std::string service;
  std::string redirect_uri;  // a loopback address (RFC 8252 section 7.3)
  template <class F>
  void fields(F& f) {
    f(tenant, user, service, redirect_uri);
  }
};

// Redeems the code through the courier and stores the Connection. Errors: kInvalid (unknown or used
// state), kUpstream with the server's `error`, kUnreachable.
struct FinishAuthorization {
  static constexpr MessageType kType = 0x0206;
  using Reply = Done;
  std::string state;
  std::string issuer;       // `iss` of the redirect, "" if absent
  std::string sealed_code;  // crypto_box_seal
  template <class F>
  void fields(F& f) {
    f(state, issuer, sealed_code);
  }
};

struct ConnectionInfo {
  std::string tenant;
  std::string user;
  std::string service;
  CredentialKind kind = CredentialKind::kStatic;
  std::int64_t changed_unix_ms = 0;
  std::int64_t expires_unix_ms = 0;  // of the access token; 0 if none or unknown
  std::string state;                 // "ok", "suspect", "reconsent_required"
  template <class F>
  void fields(F& f) {
    f(tenant, user, service, kind, changed_unix_ms, expires_unix_ms, state);
  }
};
struct ConnectionList {
  static constexpr MessageType kType = 0x0217;
  std::vector<ConnectionInfo> connections;
  template <class F>
  void fields(F& f) {
    f(connections);
  }
};
struct ListConnections {
  static constexpr MessageType kType = 0x0207;
  using Reply = ConnectionList;
  std::string tenant;
  std::string user;  // "" for all
  template <class F>
  void fields(F& f) {
    f(tenant, user);
  }
};
struct RemoveConnection {
  static constexpr MessageType kType = 0x0208;
  using Reply = Done;
  std::string tenant;
  std::string user;
  std::string service;
  template <class F>
  void fields(F& f) {
    f(tenant, user, service);
  }
};

struct RunLive {
  static constexpr MessageType kType = 0x0219;
  std::vector<Placeholder> placeholders;  // one per service that has a credential for this user
  std::string ca_certificate_pem;         // of the tenant's interception CA
  template <class F>
  void fields(F& f) {
    f(placeholders, ca_certificate_pem);
  }
};
// From here on the vault leases for this Run: its user's (or tenant's) Connections at these
// services only.
struct DeclareRunLive {
  static constexpr MessageType kType = 0x0209;
  using Reply = RunLive;
  RunId run = no_run();
  TraceId trace;
  std::string tenant;
  std::string user;
  std::string agent;
  std::vector<std::string> services;
  std::uint32_t leases_per_second = 0;  // 0: the vault's default
  template <class F>
  void fields(F& f) {
    f(run, trace, tenant, user, agent, services, leases_per_second);
  }
};
// No further lease; those outstanding end. Idempotent.
struct DeclareRunEnded {
  static constexpr MessageType kType = 0x020a;
  using Reply = Done;
  RunId run = no_run();
  template <class F>
  void fields(F& f) {
    f(run);
  }
};

}  // namespace gatehouse::ipc
