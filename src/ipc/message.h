// SPDX-License-Identifier: Apache-2.0
// What every contract uses. A contract header names one pair of roles; each request is a struct
// with `static constexpr MessageType kType`, `using Reply` and `fields`. Types are unique over all
// contracts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/id.h"

namespace gatehouse::ipc {

using MessageType = std::uint16_t;
inline constexpr std::uint8_t kVersion = 1;
inline constexpr std::size_t kDescriptorsMost = 16;   // beside one message
inline constexpr std::size_t kFrameMost = 64 * 1024;  // header and payload, in bytes

// The reply of a request that only needs to know that it was done.
struct Done {
  static constexpr MessageType kType = 0x0001;
  template <class F>
  void fields(F&) {}
};

// The reply of a request that failed; `code` is an Error::Code.
struct Refused {
  static constexpr MessageType kType = 0x0002;
  std::uint8_t code = 0;
  std::string message;
  template <class F>
  void fields(F& f) {
    f(code, message);
  }
};

inline RunId no_run() { return RunId::from_bytes({}); }
inline LeaseId no_lease() { return LeaseId::from_bytes({}); }
inline ExchangeId no_exchange() { return ExchangeId::from_bytes({}); }

}  // namespace gatehouse::ipc
