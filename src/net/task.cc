// SPDX-License-Identifier: Apache-2.0
#include "net/task.h"

#include <algorithm>
#include <array>
#include <new>

namespace gatehouse::net::detail {
namespace {

constexpr std::size_t kStep = 32;                    // bytes between size classes
constexpr std::size_t kClasses = 512;                // frames up to 16 KiB are pooled
constexpr std::size_t kKeptMost = 256;               // free frames kept per class and thread, ...
constexpr std::size_t kKeptBytesMost = 1024 * 1024;  // ... and their bytes

struct FreeFrame {
  FreeFrame* next;
};

class Pool {
 public:
  ~Pool() {
    for (Shelf& shelf : shelves_) {
      while (shelf.first != nullptr)
        ::operator delete(std::exchange(shelf.first, shelf.first->next));
    }
  }
  void* take(std::size_t size_class) {
    Shelf& shelf = shelves_[size_class];
    if (shelf.first == nullptr) return ::operator new((size_class + 1) * kStep);
    --shelf.count;
    return std::exchange(shelf.first, shelf.first->next);
  }
  void give(void* frame, std::size_t size_class) noexcept {
    Shelf& shelf = shelves_[size_class];
    if (shelf.count >= kept_most(size_class)) return ::operator delete(frame);
    shelf.first = new (frame) FreeFrame{shelf.first};
    ++shelf.count;
  }

 private:
  static std::size_t kept_most(std::size_t size_class) {
    return std::min(kKeptMost, kKeptBytesMost / ((size_class + 1) * kStep));
  }
  struct Shelf {
    FreeFrame* first = nullptr;
    std::size_t count = 0;
  };
  std::array<Shelf, kClasses> shelves_;
};

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
constexpr bool kPooled = false;  // a pool would hide use after free from the sanitizer
#else
constexpr bool kPooled = true;
#endif
thread_local Pool t_pool;

}  // namespace

void* allocate_frame(std::size_t size) {
  const std::size_t size_class = (size - 1) / kStep;
  if (!kPooled || size_class >= kClasses) return ::operator new(size);
  return t_pool.take(size_class);
}

void release_frame(void* frame, std::size_t size) noexcept {
  const std::size_t size_class = (size - 1) / kStep;
  if (!kPooled || size_class >= kClasses) return ::operator delete(frame);
  t_pool.give(frame, size_class);
}

}  // namespace gatehouse::net::detail
