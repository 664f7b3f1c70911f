// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <array>
#include <cstring>

namespace gatehouse {
namespace {

// Span and exchange ids are drawn thousands of times a second: one system call serves many of them.
struct Pool {
  std::array<std::uint8_t, 4096> bytes;
  std::size_t used = sizeof bytes;
};
thread_local Pool t_pool;

}  // namespace

void fill_random(std::span<std::uint8_t> out) {
  if (out.size() > 64) return fill_from_kernel(out);
  if (t_pool.bytes.size() - t_pool.used < out.size()) {
    fill_from_kernel(t_pool.bytes);
    t_pool.used = 0;
  }
  std::memcpy(out.data(), t_pool.bytes.data() + t_pool.used, out.size());
  std::memset(t_pool.bytes.data() + t_pool.used, 0, out.size());
  t_pool.used += out.size();
}

void forget_buffered_random() { t_pool.used = sizeof t_pool.bytes; }

}  // namespace gatehouse
