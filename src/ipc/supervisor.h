// SPDX-License-Identifier: Apache-2.0
// The supervisor's contracts: with its roles (each is born with descriptor 3 only and gets all else
// through it), and on its control socket with people (kill, revive, status).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "ipc/message.h"
#include "ipc/probe.h"

namespace gatehouse::ipc {

// The role of a process: of several gateways the first is "gateway", the others "gateway.1", ...
[[nodiscard]] inline std::string_view role_of(std::string_view name) {
  return name.substr(0, name.find('.'));
}

// In the run directory: where wardens that have lost their sandboxd knock. The supervisor listens
// and sandboxd accepts, so that who knocks while there is no sandboxd waits for the next one.
inline constexpr std::string_view kWardensSocket = "wardens.sock";

// Supervisor -> role, with one descriptor: a fresh connection to another role. Replaces an earlier
// one of that name.
struct AttachPeer {
  static constexpr MessageType kType = 0x0601;
  using Reply = Done;
  std::string
      peer;  // "vault", "audit", "gateway.0"; the role serves it or calls it as its contract says
  bool tells_loss = false;  // whether this side of the two says PeerLost
  template <class F>
  void fields(F& f) {
    f(peer, tells_loss);
  }
};
// Role -> supervisor: the connection to that peer broke, and no other has come. If both live, they
// are joined anew.
struct PeerLost {
  static constexpr MessageType kType = 0x0609;
  using Reply = Done;
  std::string peer;
  template <class F>
  void fields(F& f) {
    f(peer);
  }
};
// Supervisor -> role, with one descriptor that is not a connection: a listener, the kill table, a
// ring.
struct GiveDescriptor {
  static constexpr MessageType kType = 0x0602;
  using Reply = Done;
  std::string name;
  template <class F>
  void fields(F& f) {
    f(name);
  }
};
// Role -> supervisor: set up, confined, serving.
struct RoleReady {
  static constexpr MessageType kType = 0x0603;
  using Reply = Done;
  template <class F>
  void fields(F&) {}
};

// People and control -> supervisor. `run` is all zero for everything. Answered when it is durable
// in the kill file, visible in the kill table, and the sandboxes are frozen (or destroyed).
struct KillDone {
  static constexpr MessageType kType = 0x0614;
  std::uint64_t generation = 0;
  std::uint32_t sandboxes = 0;  // how many were frozen or destroyed
  std::uint32_t ended = 0;      // of these, those that nothing here can freeze: they were destroyed
  template <class F>
  void fields(F& f) {
    f(generation, sandboxes, ended);
  }
};
struct Kill {
  static constexpr MessageType kType = 0x0604;
  using Reply = KillDone;
  RunId run = no_run();
  bool all = false;
  bool destroy = false;
  std::string reason;
  template <class F>
  void fields(F& f) {
    f(run, all, destroy, reason);
  }
};
struct Revive {
  static constexpr MessageType kType = 0x0605;
  using Reply = KillDone;
  RunId run = no_run();
  bool all = false;
  template <class F>
  void fields(F& f) {
    f(run, all);
  }
};

struct RoleStatus {
  std::string role;
  std::int32_t pid = 0;
  bool ready = false;
  std::uint32_t restarts = 0;
  template <class F>
  void fields(F& f) {
    f(role, pid, ready, restarts);
  }
};
struct Status {
  static constexpr MessageType kType = 0x0616;
  bool all_killed = false;
  std::vector<RunId> killed;
  std::vector<RoleStatus> roles;
  std::string mode;  // "root", "sub-uids", "single-user" or "container"
  std::vector<std::string>
      not_enforced;        // layers and limits that this host does not give, in words
  std::string no_sandbox;  // why no run starts, and the setting to add; else ""
  template <class F>
  void fields(F& f) {
    f(all_killed, killed, roles, mode, not_enforced, no_sandbox);
  }
};
struct GetStatus {
  static constexpr MessageType kType = 0x0606;
  using Reply = Status;
  template <class F>
  void fields(F&) {}
};

// What a file that was read again changed: "user alice", "rule shell/models".
struct ConfigApplied {
  static constexpr MessageType kType = 0x061a;
  std::vector<std::string> added;
  std::vector<std::string> changed;
  std::vector<std::string> removed;
  std::uint64_t unchanged = 0;
  std::vector<std::string> at_restart;  // settings that are new in the file and not in force yet
  template <class F>
  void fields(F& f) {
    f(added, changed, removed, unchanged, at_restart);
  }
};
// People -> supervisor: reads the config again; with any mistake in it nothing changes.
struct Reload {
  static constexpr MessageType kType = 0x060b;
  using Reply = ConfigApplied;
  template <class F>
  void fields(F&) {}
};
// Supervisor -> control, with the config and what it names in sealed memory (control/bundle.h).
struct ApplyConfig {
  static constexpr MessageType kType = 0x060a;
  using Reply = ConfigApplied;
  std::string by;
  template <class F>
  void fields(F& f) {
    f(by);
  }
};

// Supervisor -> every role: the form that its log has from now on.
struct UseLog {
  static constexpr MessageType kType = 0x061c;
  using Reply = Done;
  LogForm form = LogForm::kText;
  template <class F>
  void fields(F& f) {
    f(form);
  }
};

// People -> supervisor: has every role try what it can still do.
struct Finding {
  Attempt attempt;
  bool expected = false;  // that it is possible
  template <class F>
  void fields(F& f) {
    f(attempt, expected);
  }
};
struct RoleExamined {
  std::string role;
  std::string unanswered;  // why it could not be asked; else ""
  std::vector<Finding> findings;
  template <class F>
  void fields(F& f) {
    f(role, unanswered, findings);
  }
};
struct Examination {
  static constexpr MessageType kType = 0x0618;
  std::string mode;  // as Status says
  std::vector<std::string> not_enforced;
  std::string no_sandbox;
  std::vector<RoleExamined> roles;
  template <class F>
  void fields(F& f) {
    f(mode, not_enforced, no_sandbox, roles);
  }
};
struct Examine {
  static constexpr MessageType kType = 0x0608;
  using Reply = Examination;
  template <class F>
  void fields(F&) {}
};

}  // namespace gatehouse::ipc
