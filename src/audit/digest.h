// SPDX-License-Identifier: Apache-2.0
// The hashes of the log: SHA-256, RFC 6962 leaves and nodes, an append-only tree as its compact
// range, and CRC-32C.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "audit/entry.h"

namespace gatehouse::audit {

[[nodiscard]] Digest sha256(std::string_view bytes);
// SHA-256(0x00 || entry), RFC 6962 section 2.1.
[[nodiscard]] Digest leaf_hash(std::string_view entry);
// SHA-256(0x01 || left || right).
[[nodiscard]] Digest node_hash(const Digest& left, const Digest& right);
// What an Entry says of a body without saying anything that a guess could confirm: SHA-256(salt ||
// SHA-256(bytes)).
[[nodiscard]] Digest commitment_of(const Digest& salt, std::string_view bytes);

// CRC-32C (RFC 3720 appendix B.4), continued from `crc`.
[[nodiscard]] std::uint32_t crc32c(std::uint32_t crc, std::string_view bytes);

// The tree's root after each leaf, in O(log n) memory: the roots of its perfect subtrees, largest
// first.
class CompactTree {
 public:
  void add(const Digest& leaf);
  [[nodiscard]] std::uint64_t size() const { return size_; }
  // Of no leaf: SHA-256 of nothing.
  [[nodiscard]] Digest root() const;

 private:
  std::uint64_t size_ = 0;
  std::vector<Digest> roots_;
};

}  // namespace gatehouse::audit
