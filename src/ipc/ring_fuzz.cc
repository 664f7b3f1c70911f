// SPDX-License-Identifier: Apache-2.0
// An audit ring that a hostile writer filled: its reader gives records within their bound and
// stops, or refuses. The first byte says how far `written` is from what was put in.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "base/check.h"
#include "ipc/ring.h"

namespace {

using namespace gatehouse;

// As ipc/ring.cc has it: four counters, a cache line each, then the bytes.
constexpr std::size_t kBytesAt = 256;
constexpr std::size_t kWhole = kBytesAt + ipc::kRingBytes;

struct Memory {
  Memory() : fd(memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
    CHECK(ftruncate(fd.get(), kWhole) == 0);
    CHECK(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    at = static_cast<char*>(mmap(nullptr, kWhole, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  }
  net::Descriptor fd;
  char* at;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Memory memory;
  if (size < 1) return 0;
  const std::size_t length = std::min(size - 1, ipc::kRingBytes);
  std::memcpy(memory.at + kBytesAt, data + 1, length);
  // Up to 127 more or less than there is; less than nothing is far more than fits.
  const std::uint64_t written =
      length + static_cast<std::uint64_t>(static_cast<std::int64_t>(data[0]) - 128);
  std::atomic_ref(*reinterpret_cast<std::uint64_t*>(memory.at)).store(written);
  std::array<int, 2> bell{};
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, bell.data()) == 0);
  const net::Descriptor theirs(bell[0]);
  auto reader =
      ipc::RingReader::open(net::Descriptor(dup(memory.fd.get())), net::Descriptor(bell[1]));
  CHECK(reader);
  // Each record takes at least its header.
  for (std::uint64_t i = 0; i <= written / 8 + 1; ++i) {
    const auto record = (*reader)->next();
    if (!record || !*record) {
      std::memset(memory.at + kBytesAt, 0, length);
      return 0;
    }
    CHECK((*record)->bytes.size() <= ipc::kRecordMost);
  }
  CHECK(false);
  return 0;
}
