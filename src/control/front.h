// SPDX-License-Identifier: Apache-2.0
// Control's door for people: the unix socket that the CLI speaks to. Who is there is what the
// kernel says (SO_PEERCRED, unix(7)): root and the owner's uid may ask; others are closed on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "ipc/channel.h"
#include "net/nursery.h"
#include "net/stream.h"

namespace gatehouse::control {

class Front {
 public:
  // What somebody with that uid may ask on a connection of theirs.
  using Permits = std::function<ipc::Permits(std::uint32_t uid)>;

  Front(net::Loop& loop, Permits permits, std::uint32_t owner_uid);

  // Serves this listener instead of an earlier one. Errors: kInvalid.
  [[nodiscard]] Result<void> open(net::Descriptor listener);

 private:
  net::Task<void> accept();
  net::Task<void> serve(std::unique_ptr<net::LocalStream> stream, std::uint32_t uid);

  net::Loop& loop_;
  Permits permits_;
  std::uint32_t owner_uid_;
  std::unique_ptr<net::Listener> listener_;
  net::Nursery people_;
  net::Nursery accepting_;
};

}  // namespace gatehouse::control
