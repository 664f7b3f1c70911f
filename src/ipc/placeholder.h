// SPDX-License-Identifier: Apache-2.0
// Placeholder: what the agent holds instead of a credential. It is worth nothing outside the gate.
#pragma once

#include <string>

namespace gatehouse::ipc {

struct Placeholder {
  std::string service;
  std::string text;  // 128 random bits with a recognisable prefix; constant for the Run
  template <class F>
  void fields(F& f) {
    f(service, text);
  }
};

}  // namespace gatehouse::ipc
