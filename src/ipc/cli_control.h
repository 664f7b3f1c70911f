// SPDX-License-Identifier: Apache-2.0
// The CLI asks control over control's unix socket; SO_PEERCRED is the identity (root and the
// owner's uid).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ipc/control_gateway.h"
#include "ipc/control_vault.h"
#include "ipc/message.h"

namespace gatehouse::ipc {

struct RunStarted {
  static constexpr MessageType kType = 0x0711;
  RunId run = no_run();
  TraceId trace;
  bool pty = false;
  std::vector<std::string> not_enforced;
  // Descriptors as in SandboxCreated.
  template <class F>
  void fields(F& f) {
    f(run, trace, pty, not_enforced);
  }
};
struct StartRun {
  static constexpr MessageType kType = 0x0701;
  using Reply = RunStarted;
  std::string agent;
  std::string user;
  std::vector<std::string> argv;
  std::vector<std::string> environment;
  bool pty = false;
  std::uint16_t rows = 24;
  std::uint16_t columns = 80;
  std::string tenant;  // "" where there is one only; so in all requests below
  template <class F>
  void fields(F& f) {
    f(agent, user, argv, environment, pty, rows, columns, tenant);
  }
};

// GetPublicKey, PutSealed, StartAuthorization, FinishAuthorization, ListConnections,
// RemoveConnection (control_vault.h) and ReadRun, ReadBody (any_audit.h) are forwarded.

struct RunInfo {
  RunId run = no_run();
  TraceId trace;
  std::string tenant;
  std::string user;
  std::string agent;
  std::int64_t started_unix_ms = 0;
  std::int64_t ended_unix_ms = 0;  // 0: still running
  std::int32_t exit_status = 0;
  bool attached = false;  // outside of a sandbox
  template <class F>
  void fields(F& f) {
    f(run, trace, tenant, user, agent, started_unix_ms, ended_unix_ms, exit_status, attached);
  }
};
struct RunList {
  static constexpr MessageType kType = 0x0712;
  std::vector<RunInfo> runs;
  std::vector<std::string> not_enforced;  // on this host, for every run that is live
  template <class F>
  void fields(F& f) {
    f(runs, not_enforced);
  }
};
struct ListRuns {
  static constexpr MessageType kType = 0x0702;
  using Reply = RunList;
  std::uint32_t most = 100;
  template <class F>
  void fields(F& f) {
    f(most);
  }
};

// For a backup. The reply comes with one descriptor: the state store as it is at this moment, in
// sealed memory; that a backup is made is on record by then. Errors: kAuditUnavailable.
struct StateTaken {
  static constexpr MessageType kType = 0x0716;
  std::uint64_t size = 0;  // bytes
  template <class F>
  void fields(F& f) {
    f(size);
  }
};
struct TakeState {
  static constexpr MessageType kType = 0x0706;
  using Reply = StateTaken;
  bool with_key = false;  // for the record: the backup will hold the vault's root key
  template <class F>
  void fields(F& f) {
    f(with_key);
  }
};

struct ObjectInfo {
  std::string kind;  // tenant, user, agent, service, rule
  std::string tenant;
  std::string name;
  std::string from;  // "file" or "api"
  template <class F>
  void fields(F& f) {
    f(kind, tenant, name, from);
  }
};
struct ObjectList {
  static constexpr MessageType kType = 0x0713;
  std::vector<ObjectInfo> objects;
  template <class F>
  void fields(F& f) {
    f(objects);
  }
};
struct ListObjects {
  static constexpr MessageType kType = 0x0703;
  using Reply = ObjectList;
  std::string kind;  // "" for all
  template <class F>
  void fields(F& f) {
    f(kind);
  }
};

// What `connect` has to know of a service. Errors: kNotFound.
struct ServiceInfo {
  static constexpr MessageType kType = 0x0714;
  std::string tenant;
  std::string name;
  bool has_credential = false;
  CredentialKind kind = CredentialKind::kStatic;
  bool shared = false;  // its Connection is the tenant's, not a user's
  template <class F>
  void fields(F& f) {
    f(tenant, name, has_credential, kind, shared);
  }
};
struct DescribeService {
  static constexpr MessageType kType = 0x0704;
  using Reply = ServiceInfo;
  std::string tenant;
  std::string name;
  template <class F>
  void fields(F& f) {
    f(tenant, name);
  }
};

}  // namespace gatehouse::ipc
