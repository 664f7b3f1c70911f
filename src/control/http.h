// SPDX-License-Identifier: Apache-2.0
// The admin API's own listeners, by HTTP/1.1: a unix socket on the host, where the kernel says who
// is there (SO_PEERCRED, unix(7)). It shares no route, listener or process with the gateway.
// Anybody may connect; what they may ask is the handler's to say.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "control/api.h"
#include "net/nursery.h"
#include "net/stream.h"

namespace gatehouse::control {

class HttpFront {
 public:
  using Handler = std::function<net::Task<ApiAnswer>(ApiRequest)>;
  static constexpr std::size_t kConnectionsMost = 64;

  // Root and `owner_uid` are the house at the unix socket.
  HttpFront(net::Loop& loop, Handler handler, std::uint32_t owner_uid);

  // Serves this listener instead of an earlier one. Errors: kInvalid.
  [[nodiscard]] Result<void> open_local(net::Descriptor listener);

 private:
  net::Task<void> accept(net::Listener* listener);
  net::Task<void> serve(std::unique_ptr<net::Stream> stream, std::optional<std::uint32_t> uid);

  net::Loop& loop_;
  Handler handler_;
  std::uint32_t owner_uid_;
  std::unique_ptr<net::Listener> local_;
  net::Nursery people_;
  net::Nursery accepting_;
};

}  // namespace gatehouse::control
