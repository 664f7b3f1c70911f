// SPDX-License-Identifier: Apache-2.0
// The person's terminal: raw while a Run has it, and as it was on every path out, also by a signal.
#pragma once

#include <termios.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "net/descriptor.h"

namespace gatehouse::cli {

enum class TerminalMode : std::uint8_t { kRaw, kNoEcho };

class TerminalGuard {
 public:
  // Nothing is changed when standard input is no terminal.
  explicit TerminalGuard(TerminalMode mode);
  ~TerminalGuard();
  TerminalGuard(const TerminalGuard&) = delete;
  TerminalGuard& operator=(const TerminalGuard&) = delete;

 private:
  std::optional<termios> before_;
};

struct Window {
  std::uint16_t rows = 24;
  std::uint16_t columns = 80;
};
[[nodiscard]] Window window();

// One line from standard input without its end, not shown; at most 64 KiB. Errors: kInvalid when
// it is empty.
[[nodiscard]] Result<Secret> read_secret(std::string_view prompt);

// Relays until the Run has ended; `fds` are as in SandboxCreated. Returns its exit status (128+n:
// signal n). Errors: kUnavailable when it ended without telling how.
[[nodiscard]] Result<std::int32_t> relay(std::vector<net::Descriptor> fds, bool pty);

}  // namespace gatehouse::cli
