// SPDX-License-Identifier: Apache-2.0
// The state of the service, told to whoever started it: the protocol of sd_notify(3), which is one
// datagram of NAME=VALUE lines to the socket that $NOTIFY_SOCKET names. It never waits, and does
// nothing where nobody asked.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace gatehouse::supervisor {

class Notifier {
 public:
  // From $NOTIFY_SOCKET, which it takes out of the environment: an absolute path, or "@" and a name
  // in the abstract namespace. Errors: kInvalid (another form, or too long for a socket).
  [[nodiscard]] static Result<Notifier> from_environment();

  // `state` is lines such as "READY=1\nSTATUS=all is well". Errors: kUnreachable; nothing can be
  // done about it but to log it.
  [[nodiscard]] Result<void> tell(std::string_view state) const;

  [[nodiscard]] bool is_wanted() const { return !path_.empty(); }

 private:
  std::string path_;
};

}  // namespace gatehouse::supervisor
