// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ports.h"

#include "supervisor/listen.h"

namespace gatehouse::supervisor {

const std::array<Ports::Port, Ports::kCount> Ports::kPorts = {
    Port{"metrics.listen", "metrics", "control", &PortAddresses::metrics, true},
    Port{"admin.listen", "admin.tcp", "control", &PortAddresses::admin, true},
    Port{"attach.listen", "attach.tcp", "gateway", &PortAddresses::attach, false},
};

Result<void> Ports::open(const PortAddresses& at) {
  for (std::size_t i = 0; i < kCount; ++i) {
    const std::string& address = at.*kPorts[i].address;
    if (!address.empty()) listeners_[i] = TRY(listen_at_address(address));
  }
  at_ = at;
  return {};
}

void Ports::furnish(const std::string& role) {
  for (std::size_t i = 0; i < kCount; ++i) {
    if (ipc::role_of(role) == kPorts[i].role && listeners_[i].is_open()) give(role, i);
  }
}

Result<std::vector<Ports::Moved>> Ports::elsewhere(const PortAddresses& at) const {
  std::vector<Moved> moved;
  for (std::size_t i = 0; i < kCount; ++i) {
    const Port& port = kPorts[i];
    const std::string& from = at_.*port.address;
    const std::string& to = at.*port.address;
    if (from == to || (!port.comes_and_goes && (from.empty() || to.empty()))) continue;
    Moved one{i, to, {}};
    if (!to.empty()) {
      auto opened = listen_at_address(to);
      if (!opened) return Failure(opened.error().in(port.key));
      one.listener = std::move(*opened);
    }
    moved.push_back(std::move(one));
  }
  return moved;
}

std::string_view Ports::use(Moved moved) {
  const Port& port = kPorts[moved.which];
  at_.*port.address = std::move(moved.to);
  listeners_[moved.which] = std::move(moved.listener);
  if (listeners_[moved.which].is_open()) {
    for (const auto& [name, child] : children_) {
      if (child.furnished && ipc::role_of(name) == port.role) give(name, moved.which);
    }
  }
  return port.key;
}

void Ports::give(const std::string& role, std::size_t which) {
  joiner_.give(role, kPorts[which].given, [this, which]() -> Result<net::Descriptor> {
    const net::Descriptor& listener = listeners_[which];
    if (!listener.is_open()) return failure(Error::kInvalid, "it was closed meanwhile");
    return copy_of(listener.get());
  });
}

}  // namespace gatehouse::supervisor
