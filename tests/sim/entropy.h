// SPDX-License-Identifier: Apache-2.0
// In the simulation's executable random bytes follow from a seed: its entropy.cc is linked in place
// of base/entropy.cc, and libsodium gets a generator of the same kind.
#pragma once

#include <cstdint>

namespace gatehouse::sim {

void simulate_entropy(std::uint64_t seed);

}  // namespace gatehouse::sim
