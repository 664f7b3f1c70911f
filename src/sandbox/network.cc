// SPDX-License-Identifier: Apache-2.0
#include "sandbox/network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sched.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "sandbox/plan.h"

namespace gatehouse::sandbox {
namespace {

constexpr int kBacklog = 512;

Failure broken(std::string_view step) {
  return failure(Error::kUnsupported,
                 fmt::format("the sandbox's network: {}: {}", step, std::strerror(errno)));
}

// Runs a tool of the system with `input` on its standard input.
Result<void> feed(const char* path, std::vector<const char*> arguments, std::string_view input) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return broken("a pipe");
  net::Descriptor read_end(ends[0]);
  net::Descriptor write_end(ends[1]);
  arguments.insert(arguments.begin(), path);
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, read_end.get(), 0);
  std::array<char*, 1> environment = {nullptr};
  pid_t pid = -1;
  const int spawned = posix_spawn(&pid, path, &actions, nullptr,
                                  const_cast<char**>(arguments.data()), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0) {
    return failure(Error::kUnsupported, fmt::format("the sandbox's network: {}: {}; install it",
                                                    path, std::strerror(spawned)));
  }
  read_end.reset();
  const bool written =
      ::write(write_end.get(), input.data(), input.size()) == static_cast<ssize_t>(input.size());
  write_end.reset();
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (!written || status != 0) {
    return failure(Error::kUnsupported,
                   fmt::format("the sandbox's network: {} refused its rules", path));
  }
  return {};
}

Result<net::Descriptor> open_socket(int family, int type, std::uint16_t port) {
  net::Descriptor fd(socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.is_open()) return broken("a socket");
  sockaddr_storage address{};
  socklen_t size = 0;
  if (family == AF_INET) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    size = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    v6->sin6_addr = in6addr_loopback;
    size = sizeof *v6;
  }
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0
      || (type == SOCK_STREAM && listen(fd.get(), kBacklog) != 0)) {
    return broken(fmt::format("listening at port {}", port));
  }
  return fd;
}

}  // namespace

Result<DoorSockets> make_network() {
  constexpr std::uint16_t kCapture = 3129;
  constexpr std::uint16_t kDns = 53;
  if (unshare(CLONE_NEWNET) != 0) return broken("a namespace of its own (it needs CAP_SYS_ADMIN)");
  TRY(feed("/usr/sbin/ip", {"-batch", "-"},
           "link set lo up\n"
           "route add local 0.0.0.0/0 dev lo\n"
           "route add local ::/0 dev lo\n"));
  TRY(feed("/usr/sbin/nft", {"-f", "-"},
           // The proxy's port needs no redirection, so its connections are not tracked: that costs
           // each packet, and the table of those that are has an end.
           fmt::format("table inet door {{\n"
                       "  chain own {{\n"
                       "    type filter hook output priority -300; policy accept;\n"
                       "    ip daddr 127.0.0.0/8 tcp dport {0} notrack\n"
                       "    ip saddr 127.0.0.0/8 tcp sport {0} notrack\n"
                       "  }}\n"
                       "  chain out {{\n"
                       "    type nat hook output priority -100; policy accept;\n"
                       "    udp dport 53 redirect to :{1}\n"
                       "    ip daddr != 127.0.0.0/8 meta l4proto tcp redirect to :{2}\n"
                       "    ip6 daddr != ::1 meta l4proto tcp redirect to :{2}\n"
                       "  }}\n"
                       "}}\n",
                       kProxyPort, kDns, kCapture)));
  DoorSockets sockets;
  sockets.fds[0] = TRY(open_socket(AF_INET, SOCK_STREAM, kProxyPort));
  sockets.fds[1] = TRY(open_socket(AF_INET, SOCK_STREAM, kCapture));
  sockets.fds[2] = TRY(open_socket(AF_INET6, SOCK_STREAM, kCapture));
  sockets.fds[3] = TRY(open_socket(AF_INET, SOCK_DGRAM, kDns));
  return sockets;
}

}  // namespace gatehouse::sandbox
