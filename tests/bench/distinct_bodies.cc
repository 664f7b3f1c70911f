// SPDX-License-Identifier: Apache-2.0
// Loaded into h2load (LD_PRELOAD), which sends one file's bytes with each request, read anew each
// time: in what it reads every '?' becomes another letter, so that no two bodies are alike.
// BENCH_SEED: 32 hex digits; other digits, other letters.
#include <dlfcn.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace {

// Marsaglia's xorshift128, as in load.lua.
class Letters {
 public:
  Letters() {
    const char* given = std::getenv("BENCH_SEED");
    const std::string digits = given == nullptr ? "" : given;
    if (digits.size() != 8 * state_.size()) std::abort();
    for (std::size_t i = 0; i < state_.size(); ++i) {
      state_[i] = static_cast<std::uint32_t>(std::stoul(digits.substr(8 * i, 8), nullptr, 16));
    }
  }
  char next() {
    if (left_ == 0) {
      const std::uint32_t mixed = state_[0] ^ (state_[0] << 11);
      state_[0] = state_[1];
      state_[1] = state_[2];
      state_[2] = state_[3];
      state_[3] ^= (state_[3] >> 19) ^ mixed ^ (mixed >> 8);
      word_ = state_[3];
      left_ = 8;
    }
    const char letter = static_cast<char>('a' + (word_ & 0xf));
    word_ >>= 4;
    --left_;
    return letter;
  }

 private:
  std::array<std::uint32_t, 4> state_{};
  std::uint32_t word_ = 0;
  int left_ = 0;
};

}  // namespace

extern "C" ssize_t pread(int fd, void* to, size_t most, off_t offset) {
  static const auto real =
      reinterpret_cast<ssize_t (*)(int, void*, size_t, off_t)>(dlsym(RTLD_NEXT, "pread"));
  static Letters letters;
  const ssize_t count = real(fd, to, most, offset);
  for (ssize_t i = 0; i < count; ++i) {
    char& byte = static_cast<char*>(to)[i];
    if (byte == '?') byte = letters.next();
  }
  return count;
}
