// SPDX-License-Identifier: Apache-2.0
#include "gateway/body_buffers.h"

#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

namespace gatehouse::gateway {
namespace {

struct Spare {
  std::vector<std::string> buffers;
  std::size_t bytes = 0;
};

Spare& spare_ones() {
  static Spare spare;
  return spare;
}

}  // namespace

std::string BodyBuffers::take(std::size_t size) {
  std::string buffer;
  Spare& spare = spare_ones();
  const auto fits = [size](const std::string& each) { return each.capacity() >= size; };
  const auto found = std::find_if(spare.buffers.rbegin(), spare.buffers.rend(), fits);
  if (size < kLeast || found == spare.buffers.rend()) {
    // So that it fits many: what is not written to takes no memory.
    buffer.reserve(size < kLeast || size > kMost ? size : std::bit_ceil(size));
    return buffer;
  }
  buffer = std::move(*found);
  spare.buffers.erase(std::next(found).base());
  spare.bytes -= buffer.capacity();
  return buffer;
}

void BodyBuffers::give(std::string buffer) {
  Spare& spare = spare_ones();
  if (buffer.capacity() < kLeast || buffer.capacity() > kMost) return;
  if (spare.bytes + buffer.capacity() > kSpareMost) return;
  buffer.clear();
  spare.bytes += buffer.capacity();
  spare.buffers.push_back(std::move(buffer));
}

std::size_t BodyBuffers::spare() { return spare_ones().bytes; }

}  // namespace gatehouse::gateway
