// SPDX-License-Identifier: Apache-2.0
// Placeholder: what the agent holds instead of a credential. It is worth nothing outside the gate.
#pragma once

#include <string>
#include <string_view>

namespace gatehouse::ipc {

// What the vault's placeholders begin with.
inline constexpr std::string_view kPlaceholderPrefix = "ghph_";

struct Placeholder {
  std::string service;
  std::string text;  // 128 random bits with a recognisable prefix; constant for the Run
  template <class F>
  void fields(F& f) {
    f(service, text);
  }
};

}  // namespace gatehouse::ipc
