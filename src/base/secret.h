// SPDX-License-Identifier: Apache-2.0
// A value that must not leak: not copyable, not printable, compared in constant time, wiped when it
// dies, kept in guarded, locked memory that core dumps leave out. It is opened only for a named
// purpose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace gatehouse {

// Why a secret is opened; the reader of the code greps for these.
enum class Purpose : std::uint8_t {
  kInject,     // put into the one upstream request it was leased for
  kSeal,       // encrypt under the vault's key
  kTransport,  // carry to another role over a private socket
  kDerive,     // input of a key derivation or signature
  kCompare,    // look for it in traffic or compare it
};

class Secret {
 public:
  Secret() = default;
  // Copies `value` into locked memory. The caller wipes its own copy.
  explicit Secret(std::string_view value);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  [[nodiscard]] static Secret random(std::size_t size);
  [[nodiscard]] Secret duplicate(Purpose) const { return Secret(view()); }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }

  // A view that must not outlive this object.
  [[nodiscard]] std::string_view open(Purpose) const { return view(); }

  // Constant time for equal lengths.
  friend bool operator==(const Secret& a, const Secret& b);

 private:
  [[nodiscard]] std::string_view view() const { return {data_, size_}; }
  void clear();

  char* data_ = nullptr;
  std::size_t size_ = 0;
};

// Overwrites memory in a way that the compiler keeps.
void wipe(std::span<char> memory);

}  // namespace gatehouse
