// SPDX-License-Identifier: Apache-2.0
// The admin API's own listeners, by HTTP/1.1: a unix socket on the host, where the kernel says who
// is there (SO_PEERCRED, unix(7)), and TCP, with TLS or on loopback, where nobody is anybody
// without a session. It shares no route, listener or process with the gateway. Anybody may connect;
// what they may ask is the handler's to say.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "control/api.h"
#include "net/nursery.h"
#include "net/stream.h"
#include "net/tls.h"

namespace gatehouse::control {

class HttpFront {
 public:
  using Handler = std::function<net::Task<ApiAnswer>(ApiRequest)>;
  static constexpr std::size_t kConnectionsMost = 64;  // of each listener
  static constexpr Nanos kLeavesAfter = std::chrono::seconds(1);

  // Root and `owner_uid` are the house at the unix socket.
  HttpFront(net::Loop& loop, Handler handler, std::uint32_t owner_uid);

  // Serves this listener instead of an earlier one, at which it goes on for kLeavesAfter, for who
  // is on the way there; who came by it stays. Errors: kInvalid.
  [[nodiscard]] Result<void> open_local(net::Descriptor listener);
  // The same for TCP. `tls` may be null, at loopback alone. Errors: also kDenied.
  [[nodiscard]] Result<void> open_tcp(net::Descriptor listener,
                                      std::shared_ptr<net::TlsServer> tls);
  // For who comes from now on; who is there keeps what they came by.
  void use_tls(std::shared_ptr<net::TlsServer> tls);
  // Nobody comes by it any more, after kLeavesAfter; who is there stays.
  void close_local() { retire(local_); }
  void close_tcp() { retire(tcp_); }

 private:
  struct Port {
    std::unique_ptr<net::Listener> listener;
    std::shared_ptr<net::TlsServer> tls;
  };
  // One way in, its listener if there is one, and who came by it.
  struct Door {
    explicit Door(net::Loop& loop) : people(loop), accepting(loop), retiring(loop) {}
    std::shared_ptr<Port> port;
    bool is_local = false;
    net::Nursery people;
    net::Nursery accepting;
    net::Nursery retiring;
  };
  Result<void> open(Door& door, net::Descriptor listener, std::shared_ptr<net::TlsServer> tls);
  void retire(Door& door);
  net::Task<void> accept(Door* door, std::shared_ptr<Port> port, Deadline until);
  net::Task<void> serve_tls(std::shared_ptr<net::TlsServer> tls,
                            std::unique_ptr<net::Stream> socket);
  net::Task<void> serve(std::unique_ptr<net::Stream> stream, std::optional<std::uint32_t> uid);

  net::Loop& loop_;
  Handler handler_;
  std::uint32_t owner_uid_;
  Door local_;
  Door tcp_;
};

}  // namespace gatehouse::control
