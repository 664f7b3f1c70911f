// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include <sodium.h>

#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/random.h"

namespace gatehouse {
namespace {

// sodium_malloc spends four mappings a block; vm.max_map_count bounds the live ones to about 16,000
// (measured), far above what a role holds at once.
char* locked(std::size_t size) {
  static const bool ready = sodium_init() >= 0;
  CHECK(ready);
  auto* memory = static_cast<char*>(sodium_malloc(size));
  CHECK(memory != nullptr);
  return memory;
}

}  // namespace

Secret::Secret(std::string_view value) : size_(value.size()) {
  if (size_ == 0) return;
  data_ = locked(size_);
  std::memcpy(data_, value.data(), size_);
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    clear();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Secret::~Secret() { clear(); }

void Secret::clear() {
  if (data_ != nullptr) sodium_free(data_);  // wipes first
  data_ = nullptr;
  size_ = 0;
}

Secret Secret::random(std::size_t size) {
  Secret secret;
  secret.size_ = size;
  secret.data_ = locked(size);
  fill_random({reinterpret_cast<std::uint8_t*>(secret.data_), size});
  return secret;
}

bool operator==(const Secret& a, const Secret& b) {
  return a.size_ == b.size_ && (a.size_ == 0 || sodium_memcmp(a.data_, b.data_, a.size_) == 0);
}

void wipe(std::span<char> memory) { sodium_memzero(memory.data(), memory.size()); }

}  // namespace gatehouse
