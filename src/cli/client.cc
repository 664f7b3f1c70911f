// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace gatehouse::cli {
namespace {

constexpr int kAnswerMostMs = 120'000;
constexpr std::size_t kFdsMost = 16;

Failure gone() {
  return failure(Error::kUnavailable,
                 "the gatehouse closed the connection; its log says why (only root and the owner "
                 "of the data directory may ask)");
}

}  // namespace

Result<Client> Client::connect(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) {
    return failure(Error::kInvalid,
                   fmt::format("the path of the socket {} is longer than {} bytes; use a shorter "
                               "data directory",
                               socket_path, sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  net::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return failure_from_errno(errno, "making a socket");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return Client(std::move(socket));
  }
  if (errno == EACCES) {
    return failure(Error::kDenied, fmt::format("you may not use {}; ask as root or as the owner "
                                               "of the data directory",
                                               socket_path));
  }
  return failure(Error::kUnavailable,
                 fmt::format("no gatehouse listens at {}; start it with `gatehouse up`, or name "
                             "its data directory with --data",
                             socket_path));
}

Result<void> Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return gone();
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> Client::receive(ipc::FrameReader& reader, std::vector<net::Descriptor>& fds) {
  pollfd readable{socket_.get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = poll(&readable, 1, kAnswerMostMs);
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) return failure(Error::kTimeout, "the gatehouse did not answer in time");
  std::array<char, 16 * 1024> bytes{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kFdsMost * sizeof(int))> control{};
  iovec piece{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t n = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
  if (n <= 0) return gone();
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t i = 0; i < (part->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  reader.feed({bytes.data(), static_cast<std::size_t>(n)});
  return {};
}

Result<ipc::Parcel> Client::exchange(const ipc::Parcel& request) {
  const std::uint64_t id = next_id_++;
  std::string bytes;
  TRY(ipc::append_frame(bytes, {request.type, 0, id, request.payload}));
  TRY(send(bytes));
  ipc::FrameReader reader;
  ipc::Parcel reply;
  ipc::Frame frame;
  while (true) {
    if (!TRY(reader.next(frame))) {
      TRY(receive(reader, reply.fds));
      continue;
    }
    if (frame.correlation == (id | ipc::kReplyBit)) break;
  }
  if (frame.type == ipc::Refused::kType) {
    const auto refused = TRY(ipc::decode<ipc::Refused>(frame.payload));
    const bool known = refused.code <= Error::kTooSlow;
    return failure(known ? static_cast<Error::Code>(refused.code) : Error::kInternal,
                   refused.message);
  }
  reply.type = frame.type;
  reply.payload = std::string(frame.payload);
  return reply;
}

}  // namespace gatehouse::cli
