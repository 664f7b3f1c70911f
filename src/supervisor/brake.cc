// SPDX-License-Identifier: Apache-2.0
#include "supervisor/brake.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string_view>

namespace gatehouse::supervisor {
namespace {

bool write_all(const net::Descriptor& to, std::string_view text) {
  return ::pwrite(to.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
}

}  // namespace

bool Brake::freeze() const {
  if (freezer_kind == ipc::Freezer::kNone) return destroy();
  return write_all(freezer, freezer_kind == ipc::Freezer::kV1 ? "FROZEN" : "1");
}
bool Brake::thaw() const {
  if (freezer_kind == ipc::Freezer::kNone) return false;
  return write_all(freezer, freezer_kind == ipc::Freezer::kV1 ? "THAWED" : "0");
}
bool Brake::destroy() const {
  if (!kill_by_pidfd) return write_all(killer, "1");
  const bool sent = syscall(SYS_pidfd_send_signal, killer.get(), SIGKILL, nullptr, 0) == 0;
  // A frozen process of cgroup v1 dies only when it is thawed.
  return sent && (freezer_kind == ipc::Freezer::kNone || thaw());
}

}  // namespace gatehouse::supervisor
