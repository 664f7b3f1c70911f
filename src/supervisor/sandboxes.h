// SPDX-License-Identifier: Apache-2.0
// Sandboxes: the supervisor's table of what it can stop. A row is there as long as the warden of
// that sandbox lives, whatever becomes of sandboxd: the kernel says when it ends.
#pragma once

#include <cstdint>
#include <map>

#include "base/id.h"
#include "net/loop.h"
#include "net/nursery.h"
#include "supervisor/brake.h"

namespace gatehouse::supervisor {

class Sandboxes {
 public:
  explicit Sandboxes(net::Loop& loop) : loop_(loop), empty_(loop), nursery_(loop) { empty_.set(); }

  // Takes the place of an earlier row: the warden, which is the same, has been adopted. `warden` is
  // its pidfd.
  void put(const RunId& run, Brake brake, net::Descriptor warden);
  // Null if it is not there (any more).
  [[nodiscard]] const Brake* find(const RunId& run) const;
  [[nodiscard]] const std::map<RunId, Brake>& all() const { return rows_; }

  // Ends every sandbox, and waits until their wardens have ended too. Errors: kTimeout.
  [[nodiscard]] net::Task<Result<void>> end_all(Deadline deadline);

 private:
  net::Task<void> watch(RunId run, net::Descriptor warden);

  net::Loop& loop_;
  std::map<RunId, Brake> rows_;
  net::Event empty_;
  net::Nursery nursery_;
};

}  // namespace gatehouse::supervisor
