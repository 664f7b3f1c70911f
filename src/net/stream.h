// SPDX-License-Identifier: Apache-2.0
// Byte streams and listeners, whatever carries them: TCP, unix sockets, TLS over either, memory in
// simulations. A Stream has one reader and one writer at a time. Destroying it closes it (TCP: with
// what is unread, a reset).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/descriptor.h"
#include "net/loop.h"

namespace gatehouse::net {

// An IP address and port, or the path of a unix socket.
struct Endpoint {
  enum class Kind : std::uint8_t { kIp, kUnix };
  Kind kind = Kind::kIp;
  std::string host;  // an IP literal without brackets, or the path
  std::uint16_t port = 0;

  [[nodiscard]] static Endpoint ip(std::string host, std::uint16_t port) {
    return {Kind::kIp, std::move(host), port};
  }
  [[nodiscard]] static Endpoint unix_path(std::string path) {
    return {Kind::kUnix, std::move(path), 0};
  }
  [[nodiscard]] std::string text() const;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

class Stream {
 public:
  virtual ~Stream() = default;

  // Reads at least one byte; 0 means the peer ended its side in order. Errors: kTimeout, kClosed,
  // kInvalid (TLS).
  [[nodiscard]] virtual Task<Result<std::size_t>> read(std::span<char> into, Deadline) = 0;
  // Writes all of it. Errors: kTimeout, kClosed.
  [[nodiscard]] virtual Task<Result<void>> write(std::string_view bytes, Deadline) = 0;
  // The same of two texts, one behind the other: in one go where the stream can. Both outlive the
  // await.
  [[nodiscard]] virtual Task<Result<void>> write_both(std::string_view first,
                                                      std::string_view second, Deadline);
  // Ends our side; the peer reads 0. Further writes fail.
  [[nodiscard]] virtual Task<Result<void>> finish(Deadline) = 0;
  // Waits until there is something to read (or an end) without taking it.
  [[nodiscard]] virtual Task<Result<void>> wait_readable(Deadline) = 0;

  // Waits until some bytes can be written without waiting.
  [[nodiscard]] virtual Task<Result<void>> wait_writable(Deadline) = 0;

  // Whether the peer has sent nothing that is unread and has not ended: what a connection that is
  // kept must be.
  [[nodiscard]] virtual bool is_quiet() = 0;

  // Bytes that can be had now, without waiting: 0 if none. An end or error shows at the next
  // `read`.
  [[nodiscard]] virtual std::size_t read_now(std::span<char> into) = 0;
  // As read_now, but the bytes stay unread.
  [[nodiscard]] virtual std::size_t peek_now(std::span<char> into) = 0;
  // As much of `bytes` as fits now, without waiting.
  [[nodiscard]] virtual std::size_t write_now(std::string_view bytes) = 0;
  // Whether `read_now` or `write_now` met an end or an error, where their 0 is no reason to wait.
  [[nodiscard]] virtual bool is_over() const { return false; }

  // Make the close of this stream a reset (TCP RST), so that the peer cannot take a cut for an
  // orderly end.
  virtual void close_with_reset() {}
  // The socket under a stream that is nothing but one, else -1. For TLS, which drives it directly.
  [[nodiscard]] virtual int native_handle() const { return -1; }
  [[nodiscard]] virtual Endpoint peer() const { return {}; }
  [[nodiscard]] virtual Endpoint local() const { return {}; }
};

class Listener {
 public:
  virtual ~Listener() = default;
  // Errors: kExhausted when no descriptor is left (the caller waits and tries again), kClosed.
  [[nodiscard]] virtual Task<Result<std::unique_ptr<Stream>>> accept(Deadline) = 0;
  [[nodiscard]] virtual Endpoint local() const = 0;
};

// A unix stream that carries descriptors beside bytes (SCM_RIGHTS, unix(7)).
class LocalStream : public Stream {
 public:
  // As `read`; descriptors that came with these bytes are appended to `fds`, at most 16 a call.
  // Where this process has no number left for one of them, none is kept and one that is not open is
  // appended in their place: the bytes are there all the same. Errors: kInvalid for more than 16.
  [[nodiscard]] virtual Task<Result<std::size_t>> read_with(std::span<char> into,
                                                            std::vector<Descriptor>& fds,
                                                            Deadline) = 0;
  // The descriptors travel with the first byte; they stay open here.
  [[nodiscard]] virtual Task<Result<void>> write_with(std::string_view bytes,
                                                      std::span<const int> fds, Deadline) = 0;
  // Ends both directions now: waits on either side end.
  virtual void disconnect() = 0;
};

// A connected pair of local streams' descriptors (socketpair(2)).
[[nodiscard]] Result<std::pair<Descriptor, Descriptor>> make_socket_pair();
// What a listener of unix sockets accepted, as what it is.
[[nodiscard]] std::unique_ptr<LocalStream> as_local(std::unique_ptr<Stream> stream);
// Who is at the other end of a unix stream (SO_PEERCRED, unix(7)): the uid at the time of
// connecting.
[[nodiscard]] Result<std::uint32_t> peer_uid(const Stream& stream);

}  // namespace gatehouse::net
