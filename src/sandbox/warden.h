// SPDX-License-Identifier: Apache-2.0
// Warden: one process per sandbox. It builds the sandbox, keeps its pidfd, its cgroups and copies
// of its Door, and says how it ended. It outlives its sandboxd: while no sandboxd has it, the
// sandbox goes on, and the warden knocks at the house's socket for wardens until one adopts it.
// Nothing runs unsupervised: when nobody listens there (the supervisor is gone), the sandbox is
// frozen at once; when no adoption comes in time, it is ended.
//
// Its line to sandboxd (SOCK_SEQPACKET; the first is descriptor 3) carries one letter and what is
// named here:
//
//   sandboxd -> warden   at first a Charge; `G`: let it go (on); `D`: its end has been told, the
//                        warden may end
//   warden -> sandboxd   `L`, a Report and descriptors; `E` and why there is no sandbox; `X` and
//   the
//                        exit status as text
//
// and before a warden that has lost its sandboxd says `L` again, what adoption.h says.
//
// Descriptors of `L`, in order: the four of the Door, freeze, kill (or a pidfd of the sandbox), a
// pidfd of the warden; the first time also the standard streams and the read end of the status pipe
// (ipc::SandboxCreated).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "ipc/placeholder.h"
#include "sandbox/plan.h"

namespace gatehouse::sandbox {

inline constexpr int kWardenLine = 3;
inline constexpr std::size_t kFreezeAt = 4;
inline constexpr std::size_t kKillAt = 5;
inline constexpr std::size_t kWardenAt = 6;
inline constexpr std::size_t kStdioAt = 7;

// How long a sandbox goes on, or stays frozen, without a sandboxd.
inline constexpr Nanos kAdoptionMost = std::chrono::seconds(60);

struct Charge {
  Plan plan;
  std::vector<ipc::Placeholder> placeholders;  // for the Door
  std::string rendezvous;                      // the path of the house's socket for wardens
  Secret house_key;
  template <class F>
  void fields(F& f) {
    f(plan, placeholders, rendezvous, house_key);
  }
};

struct Report {
  ipc::RunSpec run;
  std::vector<ipc::Placeholder> placeholders;
  ipc::Freezer freezer = ipc::Freezer::kV2;
  bool kill_by_pidfd = false;
  std::vector<std::string> not_enforced;
  bool is_stopped = false;  // by the warden, because the house was gone
  bool has_ended = false;   // `X` follows
  template <class F>
  void fields(F& f) {
    f(run, placeholders, freezer, kill_by_pidfd, not_enforced, is_stopped, has_ended);
  }
};

// The whole life of the process. Returns its exit status.
[[nodiscard]] int guard_sandbox(int init_fd, Nanos adoption_most = kAdoptionMost);

}  // namespace gatehouse::sandbox
