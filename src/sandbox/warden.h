// SPDX-License-Identifier: Apache-2.0
// Warden: one process per sandbox. It builds the sandbox, keeps its pidfd and cgroups, and says how
// it ended. Its line to sandboxd (descriptor 3, SOCK_SEQPACKET) carries: in, a Plan; out, `L` with
// the descriptors below, or `E` and why; in, `G`; out, `X` and the exit status as text. When
// sandboxd goes, the sandbox is frozen and then ended: nothing runs unsupervised.
//
// Descriptors of `L`, in order: the four of the Door, freeze, kill (or a pidfd), then the standard
// streams.
#pragma once

#include "base/result.h"

namespace gatehouse::sandbox {

inline constexpr int kWardenLine = 3;
inline constexpr std::size_t kDoorAt = 0;
inline constexpr std::size_t kFreezeAt = 4;
inline constexpr std::size_t kStdioAt = 6;

// The whole life of the process. Returns its exit status.
[[nodiscard]] int guard_sandbox(int init_fd);

}  // namespace gatehouse::sandbox
