// SPDX-License-Identifier: Apache-2.0
// Breaches: a role that asks another one for what it may not, or sends what is no message, was
// captured or has a bug. Whoever was asked closes the connection and puts it on record.
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "audit/entry.h"
#include "base/time.h"
#include "ipc/role.h"

namespace gatehouse::audit {

// What `role` writes of `peer`.
[[nodiscard]] Entry breach_entry(std::string_view role, std::string_view peer, const Error& why,
                                 WallTime wall, Instant now);

// For the roles that append by asking the audit role. Nothing waits for it; what the log does not
// take yet is kept and sent again.
class Breaches {
 public:
  static constexpr std::size_t kKeptMost = 256;  // Entries; more are in the log of the process only

  // From now on, each breach of a peer of `role`, which is called `name`. It must outlive this.
  Breaches(ipc::Role& role, std::string name);

 private:
  void keep(const std::string& peer, const Error& why);
  net::Task<void> send();

  ipc::Role& role_;
  std::string name_;
  std::deque<std::string> kept_;  // encoded
  net::Nursery tasks_;
};

}  // namespace gatehouse::audit
