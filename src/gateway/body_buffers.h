// SPDX-License-Identifier: Apache-2.0
// Room for bodies that are read whole, used again by whoever comes next, the last that was given
// back first: it is still in the processor's cache. A process has one thread here.
#pragma once

#include <cstddef>
#include <string>

namespace gatehouse::gateway {

class BodyBuffers {
 public:
  // Of one buffer; a smaller one is the heap's, a larger one is worth its while.
  static constexpr std::size_t kLeast = 32 * 1024;
  static constexpr std::size_t kMost = 1024 * 1024;
  // Of all that nobody has.
  static constexpr std::size_t kSpareMost = 8 * 1024 * 1024;

  // Empty, with room for `size` bytes.
  [[nodiscard]] static std::string take(std::size_t size);
  // Nothing of what it holds is read again.
  static void give(std::string buffer);
  // Bytes that nobody has.
  [[nodiscard]] static std::size_t spare();
};

}  // namespace gatehouse::gateway
