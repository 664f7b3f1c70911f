// SPDX-License-Identifier: Apache-2.0
#include "supervisor/listen.h"

#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "wire/url.h"

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

Result<net::Descriptor> listen_at_address(const std::string& address) {
  constexpr int kBacklog = 256;
  const wire::Authority at = TRY(wire::Authority::parse(address));
  if (!at.port || !at.host.ip()) {
    return failure(Error::kInvalid, address + " is no address with a port");
  }
  const auto& bytes = at.host.ip()->bytes();
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(*at.port);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(*at.port);
  std::memcpy(&v4.sin_addr, bytes.data() + 12, sizeof v4.sin_addr);
  std::memcpy(&v6.sin6_addr, bytes.data(), sizeof v6.sin6_addr);
  const bool is_v4 = at.host.ip()->is_v4();
  const auto* where =
      is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  net::Descriptor fd(::socket(where->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (::bind(fd.get(), where, is_v4 ? sizeof v4 : sizeof v6) != 0
      || ::listen(fd.get(), kBacklog) != 0) {
    if (errno == EADDRINUSE) {
      return failure(Error::kConflict,
                     "another program listens at " + address + "; stop it or choose another port");
    }
    return failure_from_errno(errno, "listening at " + address);
  }
  return fd;
}

}  // namespace gatehouse::supervisor
