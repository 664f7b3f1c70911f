// SPDX-License-Identifier: Apache-2.0
// What the audit role tells the exporter: copies of Entries that are durable, those that tell of an
// end. No body travels here: what was said in an Exchange stays in the log.
#pragma once

#include <string>
#include <vector>

#include "ipc/message.h"

namespace gatehouse::ipc {

// Audit -> exporter. One at a time: the next follows when this one is answered.
struct Report {
  static constexpr MessageType kType = 0x0901;
  using Reply = Done;
  std::vector<std::string> entries;  // encoded (audit/entry.h), in the order of the log
  template <class F>
  void fields(F& f) {
    f(entries);
  }
};

}  // namespace gatehouse::ipc
