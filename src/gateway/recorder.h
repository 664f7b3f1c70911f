// SPDX-License-Identifier: Apache-2.0
// The gateway thread's pen: Entries and bodies into the ring that the audit role reads. Appending
// never waits on the disk; `wait_durable` does, for those Intents that must be durable before an
// effect or before an answer's first byte.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "audit/entry.h"
#include "ipc/ring.h"
#include "ipc/sandbox.h"
#include "net/nursery.h"
#include "net/real_loop.h"

namespace gatehouse::gateway {

// A body as the Entry names it; its bytes go to the object store.
using audit::BodyRef;

class Recorder {
 public:
  Recorder(net::RealLoop& loop, std::unique_ptr<ipc::RingWriter> ring);

  // Queues an Entry; returns the ring position by which it is durable. Waits (at most until
  // `deadline`) while the ring is full. Errors: kAuditUnavailable.
  [[nodiscard]] net::Task<Result<std::uint64_t>> append(audit::Entry entry, Deadline deadline);
  // The same without waiting, for destructors and settling: false when the ring is full, which is
  // counted and becomes a gap Entry as soon as there is room.
  bool append_now(audit::Entry entry);

  // Stores a whole body now; its reference goes into an Entry. An empty reference when there is no
  // room (counted).
  [[nodiscard]] std::optional<BodyRef> store(std::string_view name, std::string_view bytes);

  // Returns when everything up to `position` is on disk. Errors: kAuditUnavailable at the deadline.
  [[nodiscard]] net::Task<Result<void>> wait_durable(std::uint64_t position, Deadline deadline);

  [[nodiscard]] std::uint64_t lost() const { return lost_; }

 private:
  void stamp(audit::Entry& entry);
  std::optional<std::uint64_t> put(const audit::Entry& entry);
  net::Task<void> watch_durable();

  net::RealLoop& loop_;
  std::unique_ptr<ipc::RingWriter> ring_;
  std::uint64_t lost_ = 0;
  net::Event durable_;
  net::Nursery tasks_;
};

}  // namespace gatehouse::gateway
