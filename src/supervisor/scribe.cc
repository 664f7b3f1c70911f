// SPDX-License-Identifier: Apache-2.0
#include "supervisor/scribe.h"

#include "base/log.h"
#include "ipc/any_audit.h"

namespace gatehouse::supervisor {
namespace {

constexpr Nanos kAnswerMost = 10s;

}  // namespace

void Scribe::write(audit::Entry entry) {
  entry.role = "supervisor";
  entry.wall_ns = loop_.wall().unix_nanos();
  entry.monotonic_ns = loop_.now().since_boot().count();
  Result<std::string> bytes = audit::encode(entry);
  if (!bytes || kept_.size() >= kKeptMost) {
    log_error("what the supervisor did is not on record",
              {{"what", name_of(entry.kind)},
               {"why", bytes ? "the audit role is away for too long" : bytes.error().message()}});
    return;
  }
  kept_.push_back(*std::move(bytes));
  start_sending();
}

void Scribe::attach(net::Descriptor line) {
  auto stream = loop_.adopt_local(std::move(line));
  if (!stream) {
    log_error("no line to the audit role", {{"why", stream.error().message()}});
    return;
  }
  audit_ = std::make_unique<ipc::Channel>(loop_, std::move(*stream), "audit", nothing_);
  start_sending();
}

void Scribe::start_sending() {
  if (is_sending_) return;
  is_sending_ = true;
  nursery_.spawn(send());
}

// In order, each until it is durable; what fails is sent again on the next line.
net::Task<void> Scribe::send() {
  while (!kept_.empty() && audit_ && audit_->is_open()) {
    const auto done = co_await audit_->call(ipc::Append{kept_.front()}, loop_.in(kAnswerMost));
    if (done) {
      kept_.pop_front();
    } else if (audit_->is_open()) {
      co_await loop_.sleep_for(1s);
    }
  }
  is_sending_ = false;
}

}  // namespace gatehouse::supervisor
