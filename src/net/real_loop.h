// SPDX-License-Identifier: Apache-2.0
// The Loop that talks to the kernel: Boost.Asio's epoll reactor for readiness, our own timers and
// tasks above it.
#pragma once

#include <memory>

#include "net/descriptor.h"
#include "net/loop.h"
#include "net/stream.h"

namespace gatehouse::net {

class RealLoop : public Loop {
 public:
  // Streams and listeners around descriptors that came from elsewhere (inherited, received). They
  // take ownership and make them non-blocking. Errors: kInvalid when it is not a stream socket.
  [[nodiscard]] virtual Result<std::unique_ptr<Stream>> adopt_stream(Descriptor) = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<LocalStream>> adopt_local(Descriptor) = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<Listener>> adopt_listener(Descriptor) = 0;

  // Waits until the descriptor, which stays the caller's, is readable or writable.
  [[nodiscard]] virtual Task<Result<void>> wait_readable(int fd, Deadline) = 0;

  // A connected pair of local streams, as socketpair(2).
  [[nodiscard]] virtual Result<std::pair<Descriptor, Descriptor>> make_pair() = 0;
};

[[nodiscard]] std::unique_ptr<RealLoop> make_real_loop();

// What a listener of unix sockets accepted, as what it is.
[[nodiscard]] std::unique_ptr<LocalStream> as_local(std::unique_ptr<Stream> stream);
// Who is at the other end of a unix stream (SO_PEERCRED, unix(7)): the uid at the time of
// connecting.
[[nodiscard]] Result<std::uint32_t> peer_uid(const Stream& stream);

}  // namespace gatehouse::net
