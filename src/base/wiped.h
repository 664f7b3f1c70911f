// SPDX-License-Identifier: Apache-2.0
// Text that is wiped when it goes: what becomes a Secret, or goes out with one in it. Growing
// leaves copies behind: who appends makes room first.
#pragma once

#include <string>

#include "base/secret.h"

namespace gatehouse {

struct WipedText {
  std::string text;
  WipedText() = default;
  WipedText(const WipedText&) = delete;
  WipedText& operator=(const WipedText&) = delete;
  ~WipedText() { wipe({text.data(), text.capacity()}); }
};

}  // namespace gatehouse
