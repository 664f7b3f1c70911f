// SPDX-License-Identifier: Apache-2.0
// Where a person is signed in: $XDG_STATE_HOME/gatehouse/sessions.json (else ~/.local/state), for
// its owner's eyes only (0600).
#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace gatehouse::cli {

struct StoredSession {
  std::string session;  // the token; it is no use after `ends`
  std::string tenant;
  std::string who;
  std::string ends;  // RFC 3339
};

// Of the house that is reached there (a socket's path, or an origin). Errors: kDenied when others
// may read the file; kCorrupt.
[[nodiscard]] Result<std::optional<StoredSession>> stored_session(const std::string& house);
[[nodiscard]] Result<void> store_session(const std::string& house, const StoredSession& session);
[[nodiscard]] Result<void> forget_session(const std::string& house);

}  // namespace gatehouse::cli
