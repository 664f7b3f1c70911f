// SPDX-License-Identifier: Apache-2.0
// Contracts around sandboxes: control -> sandboxd (create, exec, end), sandboxd -> gateway (a
// Door), sandboxd -> supervisor (freeze and kill descriptors), sandboxd <-> warden.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ipc/message.h"
#include "ipc/placeholder.h"

namespace gatehouse::ipc {

// What a Run is, for those that enforce it.
struct RunSpec {
  RunId run = no_run();
  TraceId trace;
  std::string tenant;
  std::string user;
  std::string agent;
  template <class F>
  void fields(F& f) {
    f(run, trace, tenant, user, agent);
  }
};

struct ReadOnlyPath {
  std::string source;  // on the host
  std::string target;  // inside, absolute
  template <class F>
  void fields(F& f) {
    f(source, target);
  }
};

struct SandboxCreated {
  static constexpr MessageType kType = 0x0511;
  // Descriptors that travel with the reply: stdin (write end), stdout, stderr (read ends); or one
  // PTY master; then always last a status pipe on which the warden writes one 4-byte little-endian
  // exit status (128+n: signal n) and closes, when everybody has been told.
  bool pty = false;
  std::vector<std::string> not_enforced;  // layers or limits that this host cannot give, in words
  template <class F>
  void fields(F& f) {
    f(pty, not_enforced);
  }
};
// Control -> sandboxd. Errors: kUnsupported names the layer that cannot be built and what to change
// on the host.
struct CreateSandbox {
  static constexpr MessageType kType = 0x0501;
  using Reply = SandboxCreated;
  RunSpec run;
  std::vector<Placeholder> placeholders;
  std::string ca_certificate_pem;  // put into merged bundles
  std::vector<std::string> argv;
  std::vector<std::string> environment;  // NAME=value, added to the built one
  std::string working_directory;         // "" means the home volume
  std::string volume;    // name of the home volume, below the tenant and agent and user
  std::string skeleton;  // a host directory; what a new volume begins with, "" for nothing
  std::vector<ReadOnlyPath> toolbox;  // host paths beside /usr, read-only
  std::vector<std::string>
      read_only_files;                  // inside the home volume: read-only to the agent (SOUL.md)
  std::uint64_t memory_most_bytes = 0;  // 0: the default
  std::uint32_t pids_most = 0;
  bool pty = false;
  std::uint16_t rows = 24;
  std::uint16_t columns = 80;
  template <class F>
  void fields(F& f) {
    f(run, placeholders, ca_certificate_pem, argv, environment, working_directory, volume, skeleton,
      toolbox, read_only_files, memory_most_bytes, pids_most, pty, rows, columns);
  }
};

// Control -> sandboxd: kill every process, remove what was made (not the volume), whoever made it.
// Idempotent; a sandbox whose warden comes later is ended then.
struct EndSandbox {
  static constexpr MessageType kType = 0x0502;
  using Reply = Done;
  RunId run = no_run();
  template <class F>
  void fields(F& f) {
    f(run);
  }
};

// Control -> sandboxd: which sandboxes are there; those of other Runs are lost. Answered when the
// wardens of an earlier sandboxd have had their time to come.
struct SandboxList {
  static constexpr MessageType kType = 0x0517;
  std::vector<RunId> runs;
  template <class F>
  void fields(F& f) {
    f(runs);
  }
};
struct ListSandboxes {
  static constexpr MessageType kType = 0x0507;
  using Reply = SandboxList;
  template <class F>
  void fields(F&) {}
};

// Sandboxd -> gateway, before the sandbox's first instruction; and again by a new sandboxd, which
// changes nothing for a Door that is open. Descriptors, in order: the explicit
// proxy's listener (127.0.0.1:3128 inside), the capture listeners for IPv4 and IPv6, the UDP socket
// that is port 53 inside.
struct OpenDoor {
  static constexpr MessageType kType = 0x0503;
  using Reply = Done;
  RunSpec run;
  std::vector<Placeholder> placeholders;
  template <class F>
  void fields(F& f) {
    f(run, placeholders);
  }
};
struct CloseDoor {
  static constexpr MessageType kType = 0x0504;
  using Reply = Done;
  RunId run = no_run();
  template <class F>
  void fields(F& f) {
    f(run);
  }
};

// What can stop a sandbox and let it go on.
enum class Freezer : std::uint8_t {
  kV2,    // "1" and "0" to cgroup.freeze
  kV1,    // "FROZEN" and "THAWED" to freezer.state
  kNone,  // nothing: it is ended instead
};
inline constexpr std::uint8_t kFreezers = 3;

// Sandboxd -> supervisor, with three descriptors: the freezer's file (without one, the next one
// again); one to which "1" kills
// (cgroup.kill), or a pidfd of the sandbox's pid 1 where there is none; and a pidfd of the warden,
// whose end is the sandbox's.
struct RegisterSandbox {
  static constexpr MessageType kType = 0x0505;
  using Reply = Done;
  RunId run = no_run();
  Freezer freezer = Freezer::kV2;
  bool kill_by_pidfd = false;
  TraceId trace;  // with the tenant, for the record
  std::string tenant;
  template <class F>
  void fields(F& f) {
    f(run, freezer, kill_by_pidfd, trace, tenant);
  }
};
// Sandboxd -> supervisor: a sandbox that its warden froze, because the house was gone, may go on.
// It stays frozen if its Run is killed.
struct ResumeSandbox {
  static constexpr MessageType kType = 0x0509;
  using Reply = Done;
  RunId run = no_run();
  template <class F>
  void fields(F& f) {
    f(run);
  }
};
// Sandboxd -> control: the sandbox is gone.
struct SandboxEnded {
  static constexpr MessageType kType = 0x0506;
  using Reply = Done;
  RunId run = no_run();
  std::int32_t exit_status = 0;
  template <class F>
  void fields(F& f) {
    f(run, exit_status);
  }
};

}  // namespace gatehouse::ipc
