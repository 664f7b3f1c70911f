// SPDX-License-Identifier: Apache-2.0
// Ports over the role's own channels.
#pragma once

#include "control/control.h"
#include "ipc/role.h"

namespace gatehouse::control {

class RolePorts : public Ports {
 public:
  explicit RolePorts(ipc::Role& role) : role_(role) {}

  net::Task<Result<ipc::Parcel>> ask(std::string to, ipc::Parcel request,
                                     Deadline deadline) override {
    ipc::Channel* channel = to == "supervisor" ? role_.supervisor() : role_.peer(to);
    if (channel == nullptr) co_return failure(Error::kUnavailable, to + " is away; try again");
    const std::vector<net::Descriptor> sent = std::move(request.fds);
    std::vector<int> fds;
    for (const net::Descriptor& fd : sent) fds.push_back(fd.get());
    co_return co_await channel->exchange(std::move(request), fds, deadline);
  }

  std::vector<std::string> present(const std::string& role) override {
    return role_.peers_of(role);
  }

 private:
  ipc::Role& role_;
};

}  // namespace gatehouse::control
