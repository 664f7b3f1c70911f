// SPDX-License-Identifier: Apache-2.0
#include "supervisor/listen.h"

#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace gatehouse::supervisor {

Result<net::Descriptor> listen_at(const std::string& path, SocketKind kind) {
  constexpr int kBacklog = 1024;
  ::unlink(path.c_str());
  net::Descriptor fd(::socket(AF_UNIX, kind.type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return failure(Error::kInvalid, "the path of a socket is too long: " + path
                                        + "; choose a shorter data directory");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0
      || ::chmod(path.c_str(), kind.mode) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    return failure_from_errno(errno, "listening at " + path);
  }
  return fd;
}

}  // namespace gatehouse::supervisor
