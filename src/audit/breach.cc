// SPDX-License-Identifier: Apache-2.0
#include "audit/breach.h"

#include "base/encoding.h"
#include "base/log.h"
#include "ipc/any_audit.h"

namespace gatehouse::audit {
namespace {

constexpr Nanos kAnswerMost = 5s;
constexpr Nanos kPause = 1s;  // while the log does not take it

}  // namespace

Entry breach_entry(std::string_view role, std::string_view peer, const Error& why, WallTime wall,
                   Instant now) {
  constexpr std::size_t kReasonMost = 512;
  Entry entry;
  entry.kind = Kind::kAlarm;
  entry.role = role;
  entry.wall_ns = wall.unix_nanos();
  entry.monotonic_ns = now.since_boot().count();
  entry.add("alarm", "role-breach");
  entry.add("rule", "permit-table");
  entry.add("peer", printable(peer));
  entry.add("reason", printable(why.message()).substr(0, kReasonMost));
  return entry;
}

Breaches::Breaches(ipc::Role& role, std::string name)
    : role_(role), name_(std::move(name)), tasks_(role.loop()) {
  role_.on_breach([this](const std::string& peer, const Error& why) { keep(peer, why); });
}

void Breaches::keep(const std::string& peer, const Error& why) {
  auto bytes = encode(breach_entry(name_, peer, why, role_.loop().wall(), role_.loop().now()));
  if (!bytes || kept_.size() >= kKeptMost) {
    log_error("a breach is not on record", {{"peer", peer}, {"why", why.message()}});
    return;
  }
  kept_.push_back(*std::move(bytes));
  if (kept_.size() == 1) tasks_.spawn(send());
}

net::Task<void> Breaches::send() {
  while (!kept_.empty()) {
    const auto done =
        co_await role_.call("audit", ipc::Append{kept_.front()}, role_.loop().in(kAnswerMost));
    if (done) {
      kept_.pop_front();
    } else {
      co_await role_.loop().sleep_for(kPause);
    }
  }
}

}  // namespace gatehouse::audit
