// SPDX-License-Identifier: Apache-2.0
// Control's door for people: the unix socket that the CLI speaks to. Who is there is what the
// kernel says (SO_PEERCRED, unix(7)): root and the owner's uid may ask; others are closed on.
#pragma once

#include <cstdint>
#include <memory>

#include "ipc/channel.h"
#include "net/nursery.h"
#include "net/stream.h"

namespace gatehouse::control {

class Front {
 public:
  // `permits` must outlive it.
  Front(net::Loop& loop, const ipc::Permits& permits, std::uint32_t owner_uid);

  // Serves this listener instead of an earlier one. Errors: kInvalid.
  [[nodiscard]] Result<void> open(net::Descriptor listener);

 private:
  net::Task<void> accept();
  net::Task<void> serve(std::unique_ptr<net::LocalStream> stream);

  net::Loop& loop_;
  const ipc::Permits& permits_;
  std::uint32_t owner_uid_;
  std::unique_ptr<net::Listener> listener_;
  net::Nursery people_;
  net::Nursery accepting_;
};

}  // namespace gatehouse::control
