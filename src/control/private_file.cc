// SPDX-License-Identifier: Apache-2.0
#include "control/private_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "net/descriptor.h"

namespace gatehouse::control {

Result<void> read_private_file(const PrivateFile& file, WipedText& into) {
  const net::Descriptor opened(open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat about{};
  if (!opened.is_open() || fstat(opened.get(), &about) != 0) {
    return failure_from_errno(errno, fmt::format("reading {}, {}", file.key, file.path));
  }
  if ((about.st_mode & S_IRWXO) != 0) {
    return failure(Error::kDenied, fmt::format("{} may be read by everyone on this machine, and "
                                               "holds {}: chmod 600 it",
                                               file.path, file.holds));
  }
  into.text.resize(file.most + 1);
  const ssize_t size = read(opened.get(), into.text.data(), into.text.size());
  if (size < 0) return failure_from_errno(errno, "reading " + file.path);
  into.text.resize(static_cast<std::size_t>(size));
  return {};
}

}  // namespace gatehouse::control
