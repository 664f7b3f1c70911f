// SPDX-License-Identifier: Apache-2.0
// The birth of a role's process: fork and exec, with its line to the supervisor as its one
// descriptor beside the standard ones. It ends with the supervisor.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "net/descriptor.h"

namespace gatehouse::supervisor {

// Where its process has privilege for it, a role sees only its own part of the data directory.
struct View {
  std::string data;                  // "" for a view of everything
  std::vector<std::string> folders;  // what is left of it
};

struct Spawned {
  pid_t pid = -1;
  net::Descriptor pidfd;
  net::Descriptor line;
};

// `words` is the executable's absolute path and its arguments. An executable that cannot be run
// says so on standard error and ends with 71; a view that cannot be had, with 70. Errors: the
// kernel's; then there is no process.
[[nodiscard]] Result<Spawned> spawn_role(std::vector<std::string> words, const View& view = {});

}  // namespace gatehouse::supervisor
