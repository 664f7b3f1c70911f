// SPDX-License-Identifier: Apache-2.0
// In a file of its own, so that a simulation can link another in its place.
#include <sys/random.h>

#include "base/check.h"
#include "base/random.h"
#include "base/time.h"

namespace gatehouse {

void fill_from_kernel(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    const ssize_t got = getrandom(out.data(), out.size(), 0);
    CHECK(got > 0);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

WallTime id_clock() { return WallTime::now(); }

}  // namespace gatehouse
