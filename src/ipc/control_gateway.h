// SPDX-License-Identifier: Apache-2.0
// Control tells the gateway what is in force and which Runs there are without a sandbox, and asks
// every role what it has counted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "ipc/message.h"
#include "ipc/sandbox.h"

namespace gatehouse::ipc {

// What a process has counted since it began, and what it has now, by name. Control -> each role
// and the supervisor; those of the gateways, added up, are forwarded for people.
struct Counter {
  std::string name;
  std::uint64_t value = 0;
  template <class F>
  void fields(F& f) {
    f(name, value);
  }
};
// Whether a counter may be shown by that name: a captured role could put anything there. Visible
// ASCII, at most 128 of it.
[[nodiscard]] inline bool is_counter_name(std::string_view name) {
  if (name.empty() || name.size() > 128) return false;
  for (const char c : name) {
    if (c <= ' ' || c > '~') return false;
  }
  return true;
}
struct CounterList {
  static constexpr MessageType kType = 0x0715;
  std::vector<Counter> counters;
  template <class F>
  void fields(F& f) {
    f(counters);
  }
};
struct GetCounters {
  static constexpr MessageType kType = 0x0705;
  using Reply = CounterList;
  template <class F>
  void fields(F&) {}
};

// Control -> gateway, with one sealed memfd that holds ipc::Snapshot encoded.
struct SnapshotReady {
  static constexpr MessageType kType = 0x0801;
  using Reply = Done;
  std::uint64_t generation = 0;
  template <class F>
  void fields(F& f) {
    f(generation);
  }
};

// Control -> gateway: a Run without a sandbox. Whoever shows a run token of it over TLS with that
// client certificate comes in as if by the Run's Door. Changes nothing for one that is open.
struct OpenAttachment {
  static constexpr MessageType kType = 0x0803;
  using Reply = Done;
  RunSpec run;
  std::vector<Placeholder> placeholders;
  std::string thumbprint;  // SHA-256 of the client certificate, 32 bytes
  template <class F>
  void fields(F& f) {
    f(run, placeholders, thumbprint);
  }
};
// It is over: what passes is cut. Idempotent.
struct CloseAttachment {
  static constexpr MessageType kType = 0x0804;
  using Reply = Done;
  RunId run = no_run();
  template <class F>
  void fields(F& f) {
    f(run);
  }
};
// All that there are; any other is over. Comes after those that are new, and before the identity.
struct KeepAttachments {
  static constexpr MessageType kType = 0x0805;
  using Reply = Done;
  std::vector<RunId> runs;
  template <class F>
  void fields(F& f) {
    f(runs);
  }
};
inline constexpr std::size_t kAttachmentsMost = 1000;  // live at once: they fit a message

// Who the gateways are to agents outside of sandboxes. Until it has come none is let in.
struct UseAttachIdentity {
  static constexpr MessageType kType = 0x0806;
  using Reply = Done;
  std::string certificate_pem;
  Secret private_key_pem;
  template <class F>
  void fields(F& f) {
    f(certificate_pem, private_key_pem);
  }
};

// Who the gateways are to the upstream of a service. Replaces what came before; comes before the
// Snapshot that wants it, and goes with one that does not.
struct UseClientIdentity {
  static constexpr MessageType kType = 0x0807;
  using Reply = Done;
  std::string tenant;
  std::string service;
  std::string certificate_pem;  // a chain, the leaf first
  Secret private_key_pem;
  template <class F>
  void fields(F& f) {
    f(tenant, service, certificate_pem, private_key_pem);
  }
  friend bool operator==(const UseClientIdentity&, const UseClientIdentity&) = default;
};
inline constexpr std::size_t kClientIdentitiesMost = 64;
inline constexpr std::size_t kClientCertificateMost = 32 * 1024;  // bytes, of a chain
inline constexpr std::size_t kClientKeyMost = 16 * 1024;

}  // namespace gatehouse::ipc
