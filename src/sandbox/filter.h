// SPDX-License-Identifier: Apache-2.0
// The sandbox's own locks: a seccomp allow-list (socket families and flags included) compiled
// before the sandbox exists, and Landlock over its file tree. Loading makes no allocation.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace gatehouse::sandbox {

// Compiled filters (struct sock_filter[]) as bytes, in the order in which they are loaded. Errors:
// kUnsupported.
[[nodiscard]] Result<std::vector<std::string>> compile_filters();
// Loads them into this process, for good. no_new_privs must be set. Errors: kUnsupported.
[[nodiscard]] Result<void> load_filters(const std::vector<std::string>& filters);

// Inside the new root: everything may be read and run; only the home, /tmp and /dev may be written.
// Abstract sockets and signals stay inside the sandbox where the kernel knows how (ABI 6). Errors:
// kUnsupported.
[[nodiscard]] Result<void> restrict_files(const std::vector<std::string>& writable);

}  // namespace gatehouse::sandbox
