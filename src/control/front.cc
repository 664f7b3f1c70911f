// SPDX-License-Identifier: Apache-2.0
#include "control/front.h"

#include "base/log.h"

namespace gatehouse::control {
namespace {

constexpr std::size_t kPeopleMost = 64;  // connections at a time
constexpr Nanos kPause = std::chrono::milliseconds(100);

}  // namespace

Front::Front(net::Loop& loop, Permits permits, std::uint32_t owner_uid)
    : loop_(loop),
      permits_(std::move(permits)),
      owner_uid_(owner_uid),
      people_(loop),
      accepting_(loop) {}

Result<void> Front::open(net::Descriptor listener) {
  accepting_.cancel_all();
  listener_ = TRY(loop_.adopt_listener(std::move(listener)));
  accepting_.spawn(accept());
  return {};
}

net::Task<void> Front::accept() {
  while (true) {
    auto stream = co_await listener_->accept(Deadline::never());
    if (!stream && stream.error() == Error::kClosed) co_return;
    if (!stream) {
      co_await loop_.sleep_for(kPause);
      continue;
    }
    const auto uid = net::peer_uid(**stream);
    if (!uid || (*uid != 0 && *uid != owner_uid_)) {
      log_warning("someone who may not ask was turned away", {{"uid", uid ? *uid : 0}});
      continue;
    }
    if (people_.size() >= kPeopleMost) {
      log_warning("too many connections of people", {{"most", kPeopleMost}});
      continue;
    }
    if (auto local = net::as_local(*std::move(stream))) {
      people_.spawn(serve(std::move(local), *uid));
    }
  }
}

net::Task<void> Front::serve(std::unique_ptr<net::LocalStream> stream, std::uint32_t uid) {
  const ipc::Permits permits = permits_(uid);
  ipc::Channel channel(loop_, std::move(stream), "cli", permits);
  co_await channel.closed();
}

}  // namespace gatehouse::control
