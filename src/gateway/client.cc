// SPDX-License-Identifier: Apache-2.0
#include "gateway/client.h"

#include <vector>

namespace gatehouse::gateway {
namespace {

constexpr std::size_t kSpareMost = 128;

std::vector<std::string>& spare() {
  static std::vector<std::string> buffers;
  return buffers;
}

}  // namespace

std::string Buffers::take() {
  std::string buffer;
  if (spare().empty()) {
    buffer.reserve(kReadPiece);
  } else {
    buffer = std::move(spare().back());
    spare().pop_back();
  }
  return buffer;
}

void Buffers::give(std::string buffer) {
  if (buffer.capacity() < kReadPiece || buffer.capacity() > 2 * kReadPiece) return;
  if (spare().size() >= kSpareMost) return;
  buffer.clear();
  spare().push_back(std::move(buffer));
}

}  // namespace gatehouse::gateway
