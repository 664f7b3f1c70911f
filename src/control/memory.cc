// SPDX-License-Identifier: Apache-2.0
#include "control/memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace gatehouse::control {
namespace {

constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

}  // namespace

Result<net::Descriptor> sealed_memory(const char* name, const std::string& bytes) {
  net::Descriptor memory(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory.is_open()) return failure_from_errno(errno, fmt::format("making {} memory", name));
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = write(memory.get(), bytes.data() + done, bytes.size() - done);
    if (n <= 0) return failure_from_errno(errno, fmt::format("writing {} memory", name));
    done += static_cast<std::size_t>(n);
  }
  if (fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0) {
    return failure_from_errno(errno, fmt::format("sealing {} memory", name));
  }
  return memory;
}

Result<std::string> bytes_of_memory(const net::Descriptor& memory, std::size_t most) {
  if (fcntl(memory.get(), F_GET_SEALS) != kSeals) {
    return failure(Error::kInvalid, "the memory that was handed over could still be changed");
  }
  struct stat about{};
  if (fstat(memory.get(), &about) != 0) return failure_from_errno(errno, "looking at memory");
  const auto size = static_cast<std::size_t>(about.st_size);
  if (size > most) {
    return failure(Error::kTooLarge,
                   fmt::format("{} bytes were handed over; at most {} are taken", size, most));
  }
  std::string bytes(size, '\0');
  for (std::size_t done = 0; done < size;) {
    const ssize_t n =
        pread(memory.get(), bytes.data() + done, size - done, static_cast<off_t>(done));
    if (n <= 0) return failure_from_errno(errno, "reading memory");
    done += static_cast<std::size_t>(n);
  }
  return bytes;
}

}  // namespace gatehouse::control
