// SPDX-License-Identifier: Apache-2.0
// What the mains of all roles share: their flags, their log, their end.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ipc/confine.h"
#include "ipc/role.h"
#include "net/real_loop.h"

namespace gatehouse::bin {

// The flags that the supervisor starts a role with: `--data DIR`, `--uid N`, `--landlock optional`
// where the house was conceded to go without, and `--name NAME`, which the log has.
struct RoleFlags {
  std::string data;
  std::uint32_t uid = 0;
  bool no_landlock = false;
};

// The confinement of a role with these flags; what it needs beside that it adds.
[[nodiscard]] ipc::Confinement confinement_of(const RoleFlags& flags);
// Of one that dials by name and by TLS: the system's settings for both can be read.
[[nodiscard]] ipc::Confinement dialling(const RoleFlags& flags, ipc::Network network);

// Sets up the log of this process under that name, in the form that the house has.
void begin_log(const char* name);
// Reads the flags and sets up the log under this name. Ends the process with 64 when they are
// wrong.
[[nodiscard]] RoleFlags begin_role(const char* name, int argc, char** argv);
// The value of a flag that one role alone has; "" without it.
[[nodiscard]] std::string_view flag_of(int argc, char** argv, std::string_view name);
// Goes into the role's own directory below the data directory ("" for none: then into /), and gives
// up root. From then on its files are "."; the way to them need not be open to its uid. Ends the
// process with 70 when it cannot.
void settle_role(const RoleFlags& flags, const char* directory);

// Confines this process by `plan` (the Loop's and `keep`'s descriptors stay), then lives as the
// role until the supervisor's line ends. Returns the exit status.
[[nodiscard]] int live(ipc::Role& role, ipc::Confinement plan);

// The same for one that has something to do yet when that line ends: `ending`, which ends the Loop.
// The supervisor waits for it for two seconds.
[[nodiscard]] int live_until(ipc::Role& role, ipc::Confinement plan, std::function<void()> ending);

// The same for the one role that builds sandboxes and keeps the privilege for it.
[[nodiscard]] int live_as_builder(ipc::Role& role, ipc::RootOf root);

// The directory that this executable lies in.
[[nodiscard]] Result<std::string> own_directory();

}  // namespace gatehouse::bin
