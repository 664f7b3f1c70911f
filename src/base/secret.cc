// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include <sodium.h>

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/random.h"

namespace gatehouse {
namespace {

// Secrets lie in slabs of their own: locked into memory where the limit allows, left out of core
// dumps, between guard pages, and wiped when they are given back. libsodium's own allocator maps
// and unmaps four times a secret, which was half of an exchange's cost (measured).
class Slabs {
 public:
  char* take(std::size_t size) {
    const std::size_t index = index_of(size);
    const std::lock_guard lock(mutex_);
    std::vector<char*>& free = free_.at(index);
    if (free.empty()) add_slab(index);
    char* slot = free.back();
    free.pop_back();
    return slot;
  }
  void give_back(char* slot, std::size_t size) {
    sodium_memzero(slot, size);
    const std::lock_guard lock(mutex_);
    free_.at(index_of(size)).push_back(slot);
  }
  static bool fits(std::size_t size) { return size <= kSlots.back(); }

 private:
  static constexpr std::array<std::size_t, 4> kSlots = {64, 256, 1024, 8192};  // bytes
  static constexpr std::size_t kSlab = 64 * 1024;

  static std::size_t index_of(std::size_t size) {
    std::size_t index = 0;
    while (kSlots.at(index) < size) ++index;
    return index;
  }
  // Slabs stay until the process ends: what was secret once is likely to be needed again.
  void add_slab(std::size_t index) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* whole = mmap(nullptr, kSlab + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(whole != MAP_FAILED);
    char* slab = static_cast<char*>(whole) + page;
    CHECK(mprotect(slab, kSlab, PROT_READ | PROT_WRITE) == 0);
    CHECK(madvise(slab, kSlab, MADV_DONTDUMP) == 0);
    (void)mlock(slab, kSlab);  // RLIMIT_MEMLOCK may be small; swap is the host's to encrypt then
    const std::size_t slot = kSlots.at(index);
    for (std::size_t at = 0; at + slot <= kSlab; at += slot) free_.at(index).push_back(slab + at);
  }

  std::mutex mutex_;
  std::array<std::vector<char*>, kSlots.size()> free_;
};

Slabs& slabs() {
  static Slabs* const kSlabs = new Slabs;  // never destroyed: Secrets may outlive any static
  return *kSlabs;
}

char* locked(std::size_t size) {
  static const bool ready = sodium_init() >= 0;
  CHECK(ready);
  char* memory = Slabs::fits(size) ? slabs().take(size) : static_cast<char*>(sodium_malloc(size));
  CHECK(memory != nullptr);
  return memory;
}

void unlocked(char* memory, std::size_t size) {
  if (Slabs::fits(size)) {
    slabs().give_back(memory, size);
  } else {
    sodium_free(memory);  // wipes first
  }
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
  if (data_ != nullptr) unlocked(data_, size_);
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
