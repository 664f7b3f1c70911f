// SPDX-License-Identifier: Apache-2.0
#include "supervisor/notify.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/encoding.h"
#include "net/descriptor.h"

namespace gatehouse::supervisor {

Result<Notifier> Notifier::from_environment() {
  Notifier notifier;
  const char* given = std::getenv("NOTIFY_SOCKET");
  if (given == nullptr) return notifier;
  const std::string path = given;
  unsetenv("NOTIFY_SOCKET");
  if (path.size() < 2 || (path.front() != '/' && path.front() != '@')
      || path.size() >= sizeof(sockaddr_un::sun_path)) {
    return failure(Error::kInvalid,
                   fmt::format("NOTIFY_SOCKET is \"{}\": it must be an absolute path or an "
                               "abstract name (@name) that fits a socket, or not be set",
                               printable(path)));
  }
  notifier.path_ = path;
  return notifier;
}

Result<void> Notifier::tell(std::string_view state) const {
  if (path_.empty()) return {};
  const net::Descriptor fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  if (path_.front() == '@') address.sun_path[0] = '\0';
  const std::size_t size = offsetof(sockaddr_un, sun_path) + path_.size();
  const ssize_t sent =
      ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(size));
  if (sent != static_cast<ssize_t>(state.size())) {
    return failure(Error::kUnreachable, fmt::format("telling {} that the state is {}: {}", path_,
                                                    state.substr(0, 40), std::strerror(errno)));
  }
  return {};
}

}  // namespace gatehouse::supervisor
